"""Stream the events of a turn over HTTP.

The follower is opened in the response itself, not in its generator: if the client disconnects
before the first byte, the generator never starts, and could not close it.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.follower import Follower
from turnstream.ws_server.wire import error_frame, server_sent

#: A comment, which clients ignore: it keeps the connection alive.
_STILL_HERE = b": keepalive\n\n"


class Wire(Protocol):
    """The format of events in a stream."""

    def event(self, event: bytes) -> bytes:
        """Return an event; may be empty."""
        ...

    def error(self, error: TurnError) -> bytes:
        """Return the error that ended the stream before the turn ended."""
        ...

    def end(self) -> bytes:
        """Return what follows the last event."""
        ...


class ResponsesWire:
    """Events unchanged, as Open Responses defines them."""

    def event(self, event: bytes) -> bytes:
        return server_sent(event)

    def error(self, error: TurnError) -> bytes:
        return server_sent(error_frame(error, None).encode())

    def end(self) -> bytes:
        # Open Responses requires it; OpenAI's clients need or ignore it.
        return b"data: [DONE]\n\n"


class EventStream(Response):
    """An answer that streams the events of a turn."""

    def __init__(
        self, turn_client: TurnClient, following: AbstractAsyncContextManager[Follower], wire: Wire
    ) -> None:
        super().__init__()
        self._turn_client = turn_client
        self._following = following
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A refusal is raised before the first byte, so that it gets a status of its own.
        async with self._following as follower:
            stream = StreamingResponse(
                self._written(follower),
                media_type="text/event-stream",
                headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
            )
            await stream(scope, receive, send)
        if not follower.ended:
            await self._turn_client.leave(follower.turn_id)

    async def _written(self, follower: Follower) -> AsyncIterator[bytes]:
        try:
            async for batch in follower.batches():
                yield b"".join(map(self._wire.event, batch)) or _STILL_HERE
        except TurnError as exc:
            yield self._wire.error(exc)
        yield self._wire.end()
