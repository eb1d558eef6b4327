"""What is sent is read for its owners in rotation, and what is large beside the event loop."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from tests.ws_server.conftest import Node
from turnstream.ws_server.batches import request
from turnstream.ws_server.reading import SMALL_BYTES, Reading


@pytest.mark.parametrize("size", [10, SMALL_BYTES + 1], ids=["small", "large"])
async def test_a_burst_of_one_owner_is_not_read_before_anothers_request(size: int) -> None:
    reading, answered = Reading(1_000), list[str]()

    async def read(owner: str) -> None:
        answered.append(await reading.read(owner, size, lambda: owner))

    async with asyncio.timeout(60):
        await asyncio.gather(*(read("ann") for _ in range(200)), read("bob"))

    assert len(answered) == 201
    assert answered.index("bob") < 40


async def test_the_node_goes_on_while_a_large_request_is_read() -> None:
    went_on = threading.Event()

    def read() -> bool:
        return went_on.wait(30)

    reading = asyncio.create_task(Reading(9).read("ann", SMALL_BYTES + 1, read))
    await asyncio.sleep(0.01)
    went_on.set()

    assert await reading


async def test_who_has_gone_keeps_the_place_until_the_thread_is_done() -> None:
    reading, begun, end = Reading(9), threading.Event(), threading.Event()

    def read() -> None:
        begun.set()
        assert end.wait(30)

    gone = asyncio.create_task(reading.read("ann", SMALL_BYTES + 1, read))
    await asyncio.to_thread(begun.wait, 30)
    gone.cancel()
    await asyncio.wait([gone])
    other = asyncio.create_task(reading.read("bob", SMALL_BYTES + 1, lambda: None))
    await asyncio.sleep(0.05)
    waited = not other.done()
    end.set()
    await other

    assert gone.cancelled()
    assert waited


async def test_a_large_line_of_a_batch_is_read_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(text: bytes, endpoint: str) -> threading.Thread:
        return threading.current_thread()

    monkeypatch.setattr(request, "read_request", read)

    assert await request.read_line(b"{}", "") is threading.current_thread()
    assert await request.read_line(bytes(SMALL_BYTES + 1), "") is not threading.current_thread()


ENDPOINTS = (
    "responses",
    "responses/input_tokens",
    "responses/compact",
    "chat/completions",
    "completions",
    "conversations",
    f"conversations/conv_{'0' * 32}",
    f"conversations/conv_{'0' * 32}/items",
    "client_tokens",
    "batches",
    "files",
)


async def test_every_endpoint_with_a_body_reads_it_in_its_owners_turn(local_node: Node) -> None:
    async def ask(endpoint: str, owner: str) -> int:
        # The type is for the form; none of these goes further than its reading.
        kind = "multipart/form-data; boundary=b"
        headers = {"authorization": f"Bearer {owner}", "content-type": kind}
        answer = await client.post(f"/v1/{endpoint}", content=b'{"x": NaN}', headers=headers)
        return answer.status_code

    async with local_node() as client, AsyncExitStack() as places, asyncio.timeout(60):
        gate = client._transport.app.state.node.reading._small  # type: ignore[attr-defined]
        for _ in range(gate._each):
            await places.enter_async_context(gate.admitted("ann"))
        waiting = [asyncio.create_task(ask(endpoint, "ann")) for endpoint in ENDPOINTS]
        others = [await ask(endpoint, "bob") for endpoint in ENDPOINTS]
        await asyncio.wait(waiting, timeout=0.2)
        early = [each for each, task in zip(ENDPOINTS, waiting, strict=True) if task.done()]
        await places.aclose()
        answers = await asyncio.gather(*waiting)

    assert early == []
    assert answers == others == [400] * len(ENDPOINTS)
