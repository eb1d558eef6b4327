"""What is read from a connection at a time has one bound under every event loop."""

import asyncio
import importlib
import socket
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from turnstream.ws_server.connections.bounded_reads import BoundedReads, read_buffer
from turnstream.ws_server.connections.limits import READ_BYTES

SENT = bytes(range(256)) * 1024


class Collecting(asyncio.Protocol):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def pieces() -> list[bytes]:
    """Return what the protocol behind gets of a connection that sends much at once."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    first, second = Collecting(), Collecting()
    reads = BoundedReads(first, read_buffer())
    reads.protocol = second
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(SENT))
    ours.setblocking(False)
    with theirs:
        sending = asyncio.create_task(asyncio.to_thread(theirs.sendall, SENT))
        transport, _ = await loop.connect_accepted_socket(lambda: reads, ours)
        await sending
    await second.ended
    transport.close()
    assert first.received == []
    return second.received


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_more_is_read_at_a_time_than_is_bounded(loop: str) -> None:
    if find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(loop).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        received = runner.run(pieces())

    assert b"".join(received) == SENT
    assert max(map(len, received)) == READ_BYTES
