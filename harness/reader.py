"""A client that resumes: after a cut it asks for the events after the last one that it has.

It checks the events: one out of order, repeated or after the terminal event raises `Broken`.
"""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

Event = dict[str, Any]

#: Timeout of a turn.
TIMEOUT_SECONDS = 120.0
RETRY_SECONDS = 0.1
#: Errors of a socket to a server that is down or shutting down.
DISCONNECTED = (OSError, EOFError, TimeoutError, WebSocketException, InvalidHandshake)
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


class Broken(AssertionError):
    """The events are not as promised: one is missing, repeated or out of order."""


class Refused(Exception):
    """The server refused the request with an error that a retry does not cure."""

    def __init__(self, error: Event) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class Reader:
    """Reads one turn to its end, reconnecting as often as necessary.

    Args:
        silent_seconds: a connection that answers no ping for so long counts as lost. By default
            long, so that a busy machine does not look like a lost connection.
    """

    def __init__(
        self, url: str, *, idempotency_key: str | None = None, silent_seconds: float = 30.0
    ) -> None:
        self.url = url.replace("http", "ws", 1) + "/v1/responses"
        self.key = idempotency_key or uuid4().hex
        self.events: list[Event] = []
        self.resumes = 0
        #: How often the request was sent, more than once only while no event had arrived.
        self.retries = 0
        #: Errors that ask to retry later.
        self.refusals = 0
        #: Longest time between two events after the first one of a worker, in seconds.
        self.worst_pause = 0.0
        self._last_event = 0.0
        self._silent_seconds = silent_seconds
        self._socket: ClientConnection | None = None

    @property
    def id(self) -> str:
        """The id of the response."""
        response_id: str = self.events[0]["response"]["id"]
        return response_id

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1]["type"] in ENDS

    @property
    def text(self) -> str:
        return event_text(self.events)

    @property
    def final(self) -> Event:
        """The terminal event."""
        assert self.ended
        return self.events[-1]

    async def answer(self, **question: Any) -> str:
        """Ask, and read to the end; return the text."""
        await self.read(**question)
        return self.text

    async def read(self, *, until: str | int = "", **question: Any) -> None:
        """Ask, or continue to read the turn.

        Args:
            until: stop after an event whose type has this suffix, or after this many events; by
                default after the terminal event.
            question: fields of `response.create`; none to continue.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not self.ended:
                try:
                    if await self._follow(question, until):
                        return
                except DISCONNECTED:
                    self.reset_socket()
                    await asyncio.sleep(RETRY_SECONDS)
                except BaseException:
                    self.reset_socket()
                    raise

    def reset_socket(self) -> None:
        """Reset the socket without a close frame."""
        if self._socket is not None:
            self._socket.transport.abort()
            self._socket = None

    async def _follow(self, question: dict[str, Any], until: str | int) -> bool:
        if self._socket is None:
            self._socket = await self._reconnect(question)
        while not self.ended:
            event = json.loads(await self._socket.recv())
            if "sequence_number" not in event or _refuses(event):
                if not await self._must_reconnect(event):
                    continue
                # The server has dropped the turn from this socket: resume on a new one.
                self.reset_socket()
                return False
            self._take(event)
            if until == len(self.events):
                return True
            if isinstance(until, str) and until and event["type"].endswith(until):
                return True
        self.reset_socket()
        return True

    async def _reconnect(self, question: dict[str, Any]) -> ClientConnection:
        if self.events:
            query = f"?resume_response_id={self.id}&starting_after={len(self.events) - 1}"
            socket = await self._connect(query)
            self.resumes += 1
            return socket
        socket = await self._connect()
        self.retries += 1
        frame = {"type": "response.create", "idempotency_key": self.key, **question}
        await socket.send(json.dumps(frame))
        return socket

    async def _connect(self, query: str = "") -> ClientConnection:
        return await connect(
            self.url + query,
            open_timeout=5,
            ping_interval=self._silent_seconds / 3,
            ping_timeout=self._silent_seconds * 2 / 3,
            close_timeout=0.5,
        )

    async def _must_reconnect(self, frame: Event) -> bool:
        """Return whether to reconnect after a frame that is not an event of the response.

        Raises:
            Refused: it is an error that a retry does not cure.
            Broken: it is neither an error nor an extension event.
        """
        if frame["type"].startswith("turnstream:"):
            return False
        if frame["type"] == "error" and frame["error"]["code"] == "overloaded":
            self.refusals += 1
            await asyncio.sleep(RETRY_SECONDS)
            return True
        if frame["type"] == "error":
            raise Refused(frame["error"])
        raise Broken(f"a frame that is no event of a response: {frame}")

    def _take(self, event: Event) -> None:
        if event["sequence_number"] != len(self.events):
            raise Broken(f"event {event['sequence_number']} came after {len(self.events) - 1}")
        now = time.monotonic()
        if self._last_event:
            self.worst_pause = max(self.worst_pause, now - self._last_event)
        if self._last_event or event["type"] == "response.in_progress":
            self._last_event = now
        self.events.append(event)


def _refuses(event: Event) -> bool:
    """Return whether an event refuses a request: it is in no response's log."""
    return event["type"] == "error" and event["sequence_number"] == 0


def event_text(events: list[Event]) -> str:
    """Return the text of all slices."""
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


def text_of(response: Event) -> str:
    """Return the text of a response as its record has it."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def calls_of(response: Event) -> list[tuple[str, str]]:
    """Return the name and the arguments of each call of a response."""
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    return [(item["name"], item["arguments"]) for item in calls]


def call_events(events: list[Event]) -> list[tuple[str, str]]:
    """Return the name and the arguments of each call, as the events brought them."""
    added = "response.output_item.added"
    calls = [e["item"] for e in events if e["type"] == added and e["item"]["type"] != "message"]
    deltas = [e for e in events if e["type"] == "response.function_call_arguments.delta"]
    return [
        (call["name"], "".join(e["delta"] for e in deltas if e["item_id"] == call["id"]))
        for call in calls
    ]
