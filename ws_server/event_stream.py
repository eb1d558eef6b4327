"""Events as they come, over HTTP.

A turn is followed for as long as its stream is read, and let go of in any case: also when the
client left before the first byte, when a plain generator would never have begun and so never have
ended.
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

#: Says that the connection lives; clients pass over comments.
_STILL_HERE = b": keepalive\n\n"


class Wire(Protocol):
    """How a protocol writes events into a stream."""

    def event(self, event: bytes) -> bytes:
        """Write an event; may be nothing."""
        ...

    def error(self, error: TurnError) -> bytes:
        """Write what ended the stream before the turn did."""
        ...

    def end(self) -> bytes:
        """Write what comes after the last event."""
        ...


class ResponsesWire:
    """Writes events as they are."""

    def event(self, event: bytes) -> bytes:
        return server_sent(event)

    def error(self, error: TurnError) -> bytes:
        return server_sent(error_frame(error, None).encode())

    def end(self) -> bytes:
        # Open Responses wants it; OpenAI's clients want it or pass over it.
        return b"data: [DONE]\n\n"


class EventStream(Response):
    """Answers with the events of a turn."""

    def __init__(
        self, turn_client: TurnClient, following: AbstractAsyncContextManager[Follower], wire: Wire
    ) -> None:
        super().__init__()
        self._turn_client = turn_client
        self._following = following
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A refusal comes before the first byte, and is an answer with a status of its own.
        async with self._following as follower:
            stream = StreamingResponse(
                self._written(follower),
                media_type="text/event-stream",
                headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
            )
            await stream(scope, receive, send)
        if not follower.ended:
            await self._turn_client.abandon(follower.turn_id)

    async def _written(self, follower: Follower) -> AsyncIterator[bytes]:
        try:
            async for batch in follower.batches():
                yield b"".join(map(self._wire.event, batch)) or _STILL_HERE
        except TurnError as exc:
            yield self._wire.error(exc)
        yield self._wire.end()
