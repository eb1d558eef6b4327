"""One turn as its reader sees it: every event once and in order, however often the socket changes.

The connection delivers events as they arrive and never waits for the reader. A turn whose reader is
slow drops what it has no room for, and asks for it again later: the log is at the service.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from msgspec import Raw
from msgspec.json import encode

from turnstream.client.errors import ClientError, RequestRefused, TurnFailed, Unreachable, refusal
from turnstream.client.event import ENDS, Event, Json, QueuePlace, Response

#: Events that wait for the reader.
MOST_WAITING = 2048
#: The service says something of each turn every 15 seconds.
SILENT_SECONDS = 60.0


class Lanes(Protocol):
    """What a turn uses of its connection."""

    retry_seconds: float

    async def ask(self, turn: "AsyncTurn") -> None:
        """Send what gets the rest of a turn, now or after the next reconnect."""

    async def cancel(self, turn: "AsyncTurn") -> None:
        """Send that a turn is to be cancelled, if it is on a lane of an open socket."""

    async def steer(self, frame: Json) -> str:
        """Send what is said to a running turn, and return the id that it gets."""


class AsyncTurn:
    """A turn that was created or resumed; it has one reader."""

    def __init__(self, lanes: Lanes, *, create: Raw | None, id: str = "", after: int = -1) -> None:
        #: The response's id; empty before the first event.
        self.id = id
        #: Where it waits; None once it runs.
        self.queue: QueuePlace | None = None
        #: The text of all slices that were read.
        self.text = ""
        #: The number of the last event that was read: `resume` continues after it.
        self.sequence_number = after
        #: Whether `cancel` was called.
        self.cancelled = False
        self._lanes = lanes
        self._create = create
        #: Whether all of the text was or will be read here.
        self._whole = after == -1
        self._arrived: deque[Event] = deque()
        #: The number of the last event that arrived.
        self._last = after
        #: Events after the last one were dropped, or missed.
        self._behind = False
        #: A refusal that a retry may cure.
        self._refusal: RequestRefused | None = None
        #: When it was first refused, and when the next attempt is due.
        self._refused_at = (0.0, 0.0)
        #: When the connection last brought something, or was asked.
        self._silent_since = time.monotonic()
        self._error: ClientError | None = None
        self._response: Response | None = None
        self._successor: AsyncTurn | None = None
        self._wake = asyncio.Event()
        #: Set once its id is known, or it has failed.
        self._begun = asyncio.Event()
        if id:
            self._begun.set()

    async def slices(self) -> AsyncIterator[str]:
        """Yield the text of the answer, each piece once and in order.

        An answer that was cut or cancelled ends like any other; `response` says so.

        Raises:
            RequestRefused, TurnFailed, Unreachable, ClientClosed
        """
        shown = len(self.text)
        while await self.next() is not None:
            if len(self.text) > shown:
                yield self.text[shown:]
                shown = len(self.text)
        self.raise_for_failure()

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events of the response, to the last one, also of a turn that failed.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while (event := await self.next()) is not None:
            yield event

    async def response(self) -> Response:
        """Read to the end and return the response, also of a turn that failed.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while await self.next() is not None:
            pass
        assert self._response is not None
        return self._response

    async def cancel(self) -> None:
        """Ask the service to end the turn, and return at once; its events tell when it has ended.

        Its text so far is kept. Of a turn that has ended this has no effect.
        """
        self.cancelled = True
        await self._lanes.cancel(self)

    async def steer(self, input: str | Sequence[Mapping[str, Any]]) -> str:
        """Say more while the answer is written; return the id of that once the service has it.

        The answer ends with its next slice, and `successor` goes on with what was said. Where the
        turn fails or is cancelled first, it has none, and `Response.steering` is `failed`.

        Raises:
            RequestRefused: the turn has ended, or the input is not a text or messages of the user.
            Unreachable, ClientClosed
        """
        await self._begun.wait()
        if self._error is not None and not self.id:
            raise self._error
        frame = {
            "type": "response.steer",
            "previous_response_id": self.id,
            "input": input,
            "idempotency_key": uuid4().hex,
        }
        seconds = SILENT_SECONDS + self._lanes.retry_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._lanes.steer(frame)
        except TimeoutError as exc:
            raise Unreachable("The server does not answer.") from exc

    @property
    def successor(self) -> "AsyncTurn | None":
        """The turn that goes on with what `steer` added, whoever called it.

        It is known once this turn was read to its end; None then: there is none.
        """
        return None if self._response is None else self._successor

    async def next(self) -> Event | None:
        """Return the next event; None after the last.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        await self.wait()
        return self.pop()

    def raise_for_failure(self) -> None:
        """Raise `TurnFailed` if the turn was read to its end, and has failed."""
        ended = self._response
        if ended is not None and ended.status == "failed":
            raise TurnFailed(ended.error_message or "The turn failed.", code=ended.error_code or "")

    async def wait(self) -> None:
        """Wait until `pop` has the next event or the end; nothing is lost if this is cancelled.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while not (self._arrived or self._response):
            if self._error is not None:
                raise self._error
            if self._refusal is not None:
                await self._retry(self._refusal)
            elif self._behind:
                await self._lanes.ask(self)
            else:
                self._wake.clear()
                await self._wait_for_news()

    def pop(self) -> Event | None:
        """Return the next event without waiting; None if there is none."""
        if not self._arrived:
            return None
        event = self._arrived.popleft()
        self.sequence_number = event.sequence_number
        match event.data:
            case {"type": "response.output_text.delta", "delta": str(delta)}:
                self.text += delta
            case {"type": "response.output_text.done", "text": str(text)} if self._whole:
                # After the log has expired the text comes whole, and only here.
                self.text += text[len(self.text) :]
            case {"type": kind, "response": dict(response)} if kind in ENDS:
                self._response = Response.of(response)
        return event

    async def _wait_for_news(self) -> None:
        left = self._silent_since + SILENT_SECONDS + self._lanes.retry_seconds - time.monotonic()
        expired = asyncio.timeout(max(0, left))
        try:
            async with expired:
                await self._wake.wait()
        except TimeoutError as exc:
            if not expired.expired():
                raise
            raise Unreachable("The server says nothing of this turn any more.") from exc

    async def _retry(self, refused: RequestRefused) -> None:
        first, at = self._refused_at
        if at - first > self._lanes.retry_seconds:
            self.fail(refused)
            return
        await asyncio.sleep(at - time.monotonic())
        await self._lanes.ask(self)

    def asked(self) -> None:
        """Forget why the rest has to be asked for, since the connection does."""
        self._behind = False
        self._refusal = None
        self._silent_since = time.monotonic()

    def frame(self) -> Json:
        """Return the frame that gets all that has not arrived."""
        if self._create is not None and not self.id:
            return {"type": "response.create", "response": self._create}
        return {
            "type": "turnstream:response.resume",
            "response_id": self.id,
            "starting_after": self._last,
        }

    def cancel_frame(self, lane: str) -> str:
        """Return the frame that cancels the turn, or the one that begins on the lane next."""
        frame = {"type": "response.cancel", "stream_id": lane}
        return encode(frame | ({"response_id": self.id} if self.id else {})).decode()

    def receive(self, data: Json) -> bool:
        """Take an event from the connection; return whether further ones of its lane are wanted."""
        number: int = data["sequence_number"]
        self._silent_since = time.monotonic()
        if data["type"] == "error":
            self._refuse(data, number)
        elif number > self._last:
            # A snapshot has the numbers of the last events only.
            missed = number > self._last + 1 and not data.get("snapshot")
            if missed or len(self._arrived) >= MOST_WAITING:
                self._behind = True
            else:
                self._take(data, number)
        self._wake.set()
        return not self._behind

    @property
    def next_on_lane(self) -> "AsyncTurn | None":
        """The turn whose events come next on its lane; None: they are not wanted."""
        return self._successor

    def fail(self, error: ClientError) -> None:
        """Raise an error in the reader, after the events that have arrived."""
        self._error = error
        self._refusal = None
        self._wake.set()
        self._begun.set()

    def _take(self, data: Json, number: int) -> None:
        response, queue = data.get("response"), data.get("queue")
        if response is not None:
            self.id = response["id"]
            self._begun.set()
            if data["type"] in ENDS and (id := Response.of(response).successor_id):
                self._successor = AsyncTurn(self._lanes, create=None, id=id)
        self.queue = None if queue is None else QueuePlace.of(queue)
        self._last = number
        self._refused_at = (0.0, 0.0)
        self._arrived.append(Event(data["type"], number, data))

    def _refuse(self, data: Json, number: int) -> None:
        error = refusal(data, data.get("status", 500), data.get("headers") or {})
        # A number says that it is the turn's own last event: no retry changes it.
        if number == 0 and error.retry_after is not None and error.code != "response_lost":
            now = time.monotonic()
            self._refused_at = (self._refused_at[0] or now, now + error.retry_after)
            self._refusal = error
        else:
            self.fail(error)
