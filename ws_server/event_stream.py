"""Stream the events of a turn over HTTP.

A worker refuses some requests only when it has claimed them: too many tokens, or a conversation
that the prompt's template rejects. So that such a refusal has a status of its own, the status line
waits until it is known that there is none, but not for longer than `DECISION_SECONDS`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import event_type
from turnstream.turns.follower import Follower
from turnstream.turns.tasks import end
from turnstream.ws_server.wire import error_frame, refused, server_sent

#: The longest that the status line waits; a turn that waits in the queue takes all of it.
DECISION_SECONDS = 1.0
#: Events after which a worker may still refuse the turn: it claims first, then reads the request.
_UNDECIDED = frozenset((b"response.created", b"response.queued", b"response.in_progress"))
#: A comment, which clients ignore: it keeps the connection alive.
STILL_HERE = b": keepalive\n\n"


class Wire(Protocol):
    """The format of events in a stream."""

    def event(self, event: bytes) -> bytes:
        """Return an event; may be empty."""
        ...

    def refusal(self, event: bytes) -> Response | None:
        """Return the answer in place of a stream if this event, the first of an answer, is a
        refusal."""
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

    def refusal(self, event: bytes) -> Response | None:
        return refused(event) if event_type(event) == b"error" else None

    def error(self, error: TurnError) -> bytes:
        return server_sent(error_frame(error, None).encode())

    def end(self) -> bytes:
        # Open Responses requires it; OpenAI's clients need or ignore it.
        return b"data: [DONE]\n\n"


class EventStream(Response):
    """An answer that streams the events of a turn.

    Args:
        following: opens the follower; here and not in a generator, which never starts, and so
            could not close it, when the client disconnects before the first byte.
        decision_seconds: how long to wait for the worker's refusal, which then is the answer.
    """

    def __init__(
        self,
        turn_client: TurnClient,
        following: AbstractAsyncContextManager[Follower],
        wire: Wire,
        *,
        decision_seconds: float = DECISION_SECONDS,
    ) -> None:
        super().__init__()
        self._turn_client = turn_client
        self._following = following
        self._wire = wire
        self._decision_seconds = decision_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An error is raised before the first byte, so that it gets a status of its own.
        async with self._following as follower, aclosing(_Batches(follower)) as batches:
            left = await batches.read_ahead(self._decision_seconds, receive)
            if not left:
                await self._answer(batches)(scope, receive, send)
        if not follower.ended:
            await self._turn_client.abandon(follower.turn_id)
        if left:
            raise ClientDisconnect

    def _answer(self, batches: "_Batches") -> Response:
        decided = batches.decided
        refusal = None if decided is None else self._wire.refusal(decided)
        return refusal or StreamingResponse(
            self._written(batches),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def _written(self, batches: "_Batches") -> AsyncIterator[bytes]:
        try:
            async for batch in batches:
                yield b"".join(map(self._wire.event, batch)) or STILL_HERE
        except TurnError as exc:
            yield self._wire.error(exc)
        yield self._wire.end()


class _Batches:
    """A follower's batches, of which some are read before the stream begins."""

    def __init__(self, follower: Follower) -> None:
        self._batches = follower.batches()
        self._ahead: list[bytes] = []
        self._next = asyncio.ensure_future(self._read())
        #: The first event that shows whether the turn is refused, once there is one.
        self.decided: bytes | None = None

    async def _read(self) -> list[bytes] | None:
        return await anext(self._batches, None)

    async def read_ahead(self, seconds: float, receive: Receive) -> bool:
        """Read until it is known whether the turn is refused, or for so many seconds; return
        whether the client has left meanwhile.

        Raises:
            ResponseLost, StreamExpired: the turn or its log was deleted.
        """
        deadline = time.monotonic() + seconds
        leaving = asyncio.ensure_future(client_left(receive))
        try:
            while self.decided is None and (left := deadline - time.monotonic()) > 0:
                await asyncio.wait(
                    {self._next, leaving}, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if leaving.done():
                    return True
                if self._next.done():
                    if (batch := self._next.result()) is None:
                        break
                    self._take(batch)
            return False
        finally:
            await end([leaving])

    def _take(self, batch: list[bytes]) -> None:
        self._ahead += batch
        decided = (event for event in batch if event_type(event) not in _UNDECIDED)
        self.decided = next(decided, None)
        self._next = asyncio.ensure_future(self._read())

    async def __aiter__(self) -> AsyncIterator[list[bytes]]:
        if self._ahead:
            yield self._ahead
        if (batch := await self._next) is None:
            return
        yield batch
        async for batch in self._batches:
            yield batch

    async def aclose(self) -> None:
        await end([self._next])
        if not self._next.cancelled():
            # An error that no stream has read is not one that nobody handled.
            self._next.exception()
        await self._batches.aclose()


async def client_left(receive: Receive) -> None:
    """Return once the client has left; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
