"""Event loops other than asyncio's, such as uvloop, which comes with vLLM."""

from asyncio import selector_events

import pytest

from tests.ws_server.connection_harness import opened


async def test_a_transport_whose_reads_cannot_be_bounded_is_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport = selector_events._SelectorSocketTransport
    monkeypatch.setattr(transport, "max_size", property(lambda _: 2**18))
    async with opened() as target:
        client = await target.connect()
        client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await client.head()).startswith(b"HTTP/1.1 200")
    # What asyncio only logs is the end of the connection with uvloop.
    assert not caplog.records
