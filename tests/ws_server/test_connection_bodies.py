"""What a connection holds of a body: little before it is asked for, nothing after a refusal."""

import asyncio

import pytest

from tests.ws_server.connection_harness import Client, Opened, opened
from turnstream.ws_server.connections.limits import READ_BYTES

SIZE = 1024 * 1024


async def sent(target: Opened, path: str) -> Client:
    """Send a body, as much of it as the server takes; wait until that is no more."""
    client = await target.connect()
    client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n".encode())
    client.send(b"x" * SIZE)
    before, left = -1, SIZE
    while before != left:
        before, left = left, client.transport.get_write_buffer_size()
        await asyncio.sleep(0.05)
    return client


@pytest.mark.parametrize("path", ["/later", "/half"])
async def test_little_is_read_of_a_body_before_it_is_asked_for(path: str) -> None:
    async with opened() as target:
        client = await sent(target, path)

        # What is taken at a time, and as much of which some was taken already.
        assert 0 < target.unread < 2 * READ_BYTES

        target.app.release.set()
        assert b" 200 " in await client.head()
        assert await client.exactly(17) == b'{"size": 1048576}'


async def test_nothing_is_held_of_a_body_whose_request_was_answered_without_it() -> None:
    async with opened() as target:
        client = await sent(target, "/unread")

        assert b" 200 " in await client.head()
        assert target.unread == 0
        # It is read and dropped, so that the connection can be used again.
        assert await client.exactly(11) == b'{"size": 0}'
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await client.head()
