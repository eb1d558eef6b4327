"""A client as it should be: it keeps what it got, and after a cut it asks for what comes after.

It trusts nobody: an event out of order, one too many or one after the end is a `Broken`.
"""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

Event = dict[str, Any]

#: A turn that takes longer hangs, as far as tests are concerned.
PATIENCE_SECONDS = 120.0
RETRY_SECONDS = 0.1
#: What a socket to a server that is away, or going, raises.
AWAY = (OSError, EOFError, TimeoutError, WebSocketException, InvalidHandshake)
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


class Broken(AssertionError):
    """A promise about events was not kept."""


class Refused(Exception):
    """The server said that it will not answer, and that coming back later is no use."""

    def __init__(self, error: Event) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class Reader:
    """Has one turn answered, whatever happens to its socket."""

    def __init__(self, url: str, *, idempotency_key: str | None = None) -> None:
        self.url = url.replace("http", "ws", 1) + "/v1/responses"
        self.key = idempotency_key or uuid4().hex
        self.events: list[Event] = []
        self.resumes = 0
        #: How often the question was asked again because nothing had come back.
        self.retries = 0
        #: Refusals to try again later.
        self.refusals = 0
        #: Longest time between two events once a worker had the turn, in seconds.
        self.worst_pause = 0.0
        self._heard = 0.0
        self._socket: ClientConnection | None = None

    @property
    def id(self) -> str:
        response_id: str = self.events[0]["response"]["id"]
        return response_id

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1]["type"] in ENDS

    @property
    def text(self) -> str:
        return said(self.events)

    @property
    def final(self) -> Event:
        """The terminal event."""
        assert self.ended
        return self.events[-1]

    async def answer(self, **question: Any) -> str:
        """Ask, and read to the end; gives the text."""
        await self.read(**question)
        return self.text

    async def read(self, *, until: str | int = "", **question: Any) -> None:
        """Ask, or go on with what was asked.

        Args:
            until: stop at an event whose type ends so, or when there are so many; else at the end.
            question: fields of `response.create`; none to go on.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.ended:
                try:
                    if await self._follow(question, until):
                        return
                except AWAY:
                    self.let_go()
                    await asyncio.sleep(RETRY_SECONDS)
                except BaseException:
                    self.let_go()
                    raise

    def let_go(self) -> None:
        """Drop the socket without a word."""
        if self._socket is not None:
            self._socket.transport.abort()
            self._socket = None

    async def _follow(self, question: dict[str, Any], until: str | int) -> bool:
        if self._socket is None:
            self._socket = await self._come_back(question)
        while not self.ended:
            event = json.loads(await self._socket.recv())
            if "sequence_number" not in event:
                if not await self._heed(event):
                    continue
                # The lane has forgotten us: ask again from where we are.
                self.let_go()
                return False
            self._take(event)
            if until == len(self.events):
                return True
            if isinstance(until, str) and until and event["type"].endswith(until):
                return True
        self.let_go()
        return True

    async def _come_back(self, question: dict[str, Any]) -> ClientConnection:
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
        # A phone's patience: a line that is silent for three seconds is dead.
        return await connect(
            self.url + query, open_timeout=5, ping_interval=1, ping_timeout=2, close_timeout=0.5
        )

    async def _heed(self, frame: Event) -> bool:
        """Tell whether to come back later; an error that is no refusal ends the turn for us."""
        if frame["type"].startswith("turnstream:"):
            return False
        if frame["type"] == "error" and frame["error"]["code"] == "overloaded":
            self.refusals += 1
            await asyncio.sleep(RETRY_SECONDS)
            return True
        if frame["type"] == "error":
            raise Refused(frame["error"])
        raise Broken(f"a frame without a number: {frame}")

    def _take(self, event: Event) -> None:
        if event["sequence_number"] != len(self.events):
            raise Broken(f"event {event['sequence_number']} came after {len(self.events) - 1}")
        now = time.monotonic()
        if self._heard:
            self.worst_pause = max(self.worst_pause, now - self._heard)
        if self._heard or event["type"] == "response.in_progress":
            self._heard = now
        self.events.append(event)


def said(events: list[Event]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


def text_of(response: Event) -> str:
    """The text that a record keeps of a response."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])
