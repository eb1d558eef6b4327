"""Attacks on an open WebSocket: each is cut within its bound, and others are served meanwhile."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from tests.ws_server.connection_harness import (
    BRIEF,
    MESSAGE_BYTES,
    PATIENCE_SECONDS,
    SECONDS,
    UPGRADE,
    Opened,
    frame,
    opened,
)
from turnstream.ws_server.connections.limits import FRAGMENTS

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
MUCH = 8 * 1024 * 1024


@pytest.fixture
async def target() -> AsyncIterator[Opened]:
    async with opened() as target:
        yield target


async def test_messages_sent_at_once_are_each_answered_in_order(target: Opened) -> None:
    client = await target.upgraded()
    client.send(b"".join(frame(TEXT, b"%03d" % number) for number in range(500)))

    answers = await client.exactly(5 * 500)
    assert [int(answers[at + 2 : at + 5]) for at in range(0, len(answers), 5)] == [*range(500)]


async def test_fragments_are_joined_and_pings_between_them_answered(target: Opened) -> None:
    client = await target.upgraded()
    client.send(
        frame(TEXT, b"a", final=False)
        + frame(PING, b"?")
        + frame(CONTINUED, final=False)
        + frame(CONTINUED, b"b" * 200)
    )

    assert await client.exactly(3) == b"\x8a\x01?"
    assert await client.exactly(205) == b"\x81\x7e\x00\xc9a" + b"b" * 200


async def test_what_is_sent_before_the_handshake_is_answered_is_not_lost(target: Opened) -> None:
    client = await target.connect()
    client.send(UPGRADE + b"\r\n" + frame(TEXT, b"early"))
    await client.head()

    assert await client.exactly(7) == b"\x81\x05early"


@pytest.mark.parametrize("data", [b"", b"x"], ids=["empty", "of one byte"])
async def test_endless_fragments_close_the_socket(target: Opened, data: bytes) -> None:
    client = await target.upgraded()
    client.send(frame(TEXT, b"x", final=False))
    piece = frame(CONTINUED, data, final=False)
    sent = await client.send_until_cut(piece * 64, MUCH)

    assert sent < MUCH
    assert await client.close_code() == 1008


async def test_a_message_in_many_fragments_of_a_fair_size_is_read(target: Opened) -> None:
    client = await target.upgraded()
    client.send(frame(BINARY, b"x" * 64, final=False) * 1)
    client.send(frame(CONTINUED, b"x" * 50, final=False) * (FRAGMENTS - 2))
    client.send(frame(CONTINUED))

    size = 64 + 50 * (FRAGMENTS - 2)
    assert (await client.exactly(4 + size))[:4] == b"\x82\x7e" + size.to_bytes(2)


VIOLATIONS = [
    pytest.param(b"\x81\xfe\x00\x05" + bytes(4) + b"hello", 1002, id="a length of 5 in two bytes"),
    pytest.param(
        b"\x81\xff" + (300).to_bytes(8) + bytes(4) + b"x" * 300, 1002, id="300 in eight bytes"
    ),
    pytest.param(b"\x81\xff\xff" + bytes(7), 1009, id="a length of 2**63"),
    pytest.param(b"\x81\x05hello", 1002, id="no mask"),
    pytest.param(b"\xc1\x80" + bytes(4), 1002, id="a reserved bit"),
    pytest.param(frame(3), 1002, id="an unknown opcode"),
    pytest.param(frame(11), 1002, id="an unknown control opcode"),
    pytest.param(frame(PING, final=False), 1002, id="a fragmented ping"),
    pytest.param(b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002, id="a long ping"),
    pytest.param(frame(CONTINUED), 1002, id="a continuation of nothing"),
    pytest.param(frame(TEXT, final=False) + frame(TEXT), 1002, id="a message within a message"),
    pytest.param(frame(TEXT, b"\xff"), 1007, id="not UTF-8"),
    pytest.param(
        frame(TEXT, b"\xe2", final=False) + frame(CONTINUED, b"\x82"), 1007, id="half a character"
    ),
    pytest.param(frame(CLOSE, b"\x00"), 1002, id="a close of one byte"),
    pytest.param(frame(CLOSE, (999).to_bytes(2)), 1002, id="a close code of no range"),
    pytest.param(frame(CLOSE, b"\x03\xe8\xff"), 1007, id="a reason that is not UTF-8"),
    pytest.param(frame(TEXT, b"x" * (MESSAGE_BYTES + 1)), 1009, id="too large"),
    pytest.param(
        frame(TEXT, b"x" * MESSAGE_BYTES, final=False) + frame(CONTINUED, b"x"),
        1009,
        id="too large in fragments",
    ),
]


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
async def test_a_violation_of_the_protocol_is_closed_with_its_code_and_not_logged(
    target: Opened, data: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = await target.upgraded()
    with caplog.at_level(logging.WARNING):
        client.send(data)
        assert await client.close_code() == code

    assert caplog.records == []


async def test_a_message_that_drips_is_closed() -> None:
    async with opened(**BRIEF) as target:
        client = await target.upgraded()
        begun = time.monotonic()
        client.send(frame(TEXT, b"x" * 100)[:20])

        assert await client.close_code() == 1008
        assert time.monotonic() - begun > SECONDS * 0.9


async def test_an_idle_socket_stays_open() -> None:
    async with opened(**BRIEF) as target:
        client = await target.upgraded()
        await asyncio.sleep(3 * SECONDS)
        client.send(frame(TEXT, b"still"))

        assert await client.exactly(7) == b"\x81\x05still"


async def test_pings_of_a_client_that_does_not_read_are_not_answered_for_ever() -> None:
    async with opened() as target:
        client = await target.upgraded()
        client.transport.pause_reading()
        (connection,) = target.server.server_state.connections
        ping, unsent = frame(PING, b"x" * 125) * 100, 0
        for _ in range(MUCH // len(ping)):
            client.send(ping)
            while client.transport.get_write_buffer_size():
                await asyncio.sleep(0)
            unsent = max(unsent, connection.transport.get_write_buffer_size())

        assert 64 * 1024 < unsent < 128 * 1024
        client.drop()


async def test_a_client_that_pings_and_does_not_read_is_cut() -> None:
    async with opened(stalled_seconds=0.3) as target:
        client = await target.upgraded()
        client.transport.pause_reading()
        async with asyncio.timeout(30):
            while target.connections:
                if client.transport.get_write_buffer_size() < 65536:
                    client.send(frame(PING, b"x" * 125) * 500)
                await asyncio.sleep(0)
        client.drop()


@pytest.mark.parametrize(
    "message",
    [frame(TEXT, b"quiet"), frame(PING), frame(PONG), frame(BINARY)],
    ids=["texts", "pings", "pongs", "empty messages"],
)
async def test_others_are_answered_while_one_socket_sends_without_end(
    target: Opened, message: bytes
) -> None:
    client = await target.upgraded()
    # So much is parsed at once where a whole read is.
    client.send(message * 20_000)
    await asyncio.sleep(0)
    turns = 0
    other = await target.connect()
    other.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    (connection,) = (
        each for each in target.server.server_state.connections if hasattr(each, "queue")
    )
    while not other.got:
        turns += 1
        assert connection.queue.qsize() <= 1
        await asyncio.sleep(0)

    # The rest of the client's messages is still to come.
    assert connection.conn.reader.buffer or client.transport.get_write_buffer_size()
    assert turns < 1000
    client.drop()


@pytest.mark.parametrize("answer", [b"", frame(PING) * 10], ids=["nothing", "pings"])
async def test_a_client_that_does_not_answer_a_close_is_cut(target: Opened, answer: bytes) -> None:
    client = await target.upgraded()
    begun = time.monotonic()
    client.send(frame(TEXT, b"close"))
    assert await client.exactly(4) == b"\x88\x02\x03\xe8"
    client.send(answer)
    await client.rest()

    assert time.monotonic() - begun > SECONDS * 0.9


async def test_a_close_is_answered_at_once() -> None:
    async with opened(close_seconds=2 * PATIENCE_SECONDS) as target:
        client = await target.upgraded()
        client.send(frame(TEXT, b"close") + frame(CLOSE, b"\x03\xe8"))
        await client.rest()  # waits less than that


async def test_a_close_behind_messages_that_wait_is_seen(target: Opened) -> None:
    client = await target.upgraded()
    client.send(frame(TEXT, b"quiet") * 100 + frame(CLOSE, b"\x03\xe9"))

    assert await client.close_code() == 1001
