"""Two kinds of devices that follow a conversation, by the bare protocol, through reconnects.

They go on after the cursor of the last entry that they have, and keep what they get as it comes, so
that a test sees a hole or a double.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from harness.reader import DISCONNECTED

PREFIX = "turnstream:conversation."
Json = dict[str, Any]


class Entries:
    """The entries of a feed that have arrived."""

    def __init__(self, after: int) -> None:
        self._after = after
        self.entries: list[Json] = []
        #: Whether it was told `stream_expired`: the entries are no longer those of the feed.
        self.expired = False

    @property
    def newest(self) -> str | int:
        """The cursor of the last one."""
        return self.entries[-1]["cursor"] if self.entries else self._after

    @property
    def types(self) -> list[str]:
        return [entry["type"].removeprefix(PREFIX) for entry in self.entries]

    @property
    def numbers(self) -> list[int]:
        return [entry["sequence_number"] for entry in self.entries]

    @property
    def ended(self) -> bool:
        """Whether nothing comes after this."""
        return self.expired or self.types[-1:] == ["deleted"]

    def refused(self, said: Json) -> None:
        """Take an error; one that is not to be retried must be that of a feed that has expired."""
        self.expired = (said.get("error") or said)["code"] == "stream_expired"
        assert self.expired or said["status"] == 503, said


class Device(Entries):
    """Follows a conversation on a socket."""

    def __init__(
        self, url: str, conversation: str, after: int = -1, *, responses: bool = True
    ) -> None:
        super().__init__(after)
        self._url = url.replace("http", "ws", 1) + "/v1/responses"
        self._conversation = conversation
        self._wanted = responses
        #: The events of each response, by its id.
        self.responses: dict[str, list[Json]] = {}

    async def follow(self) -> None:
        """Read until the conversation is deleted, or its feed has expired."""
        while not self.ended:
            try:
                async with connect(self._url, max_size=None) as socket:
                    await self._read(socket)
            except DISCONNECTED:
                await asyncio.sleep(0.1)

    async def _read(self, socket: ClientConnection) -> None:
        asked = {"conversation": self._conversation, "starting_after": self.newest}
        asked |= {"stream_id": "feed", "responses": self._wanted}
        await socket.send(json.dumps({"type": f"{PREFIX}follow", **asked}))
        async for text in socket:
            said = json.loads(text)
            name = said.get("stream_id")
            if said["type"] == "error":
                self.refused(said)
                return
            if name != "feed" and name is not None:
                self._take(self.responses.setdefault(name, []), said)
            elif name == "feed" and "sequence_number" in said:
                self.entries.append(said)
                if self.ended:
                    return

    @staticmethod
    def _take(events: list[Json], event: Json) -> None:
        # After a reconnect they begin again.
        if event["sequence_number"] < len(events):
            assert events[event["sequence_number"]] == event
        else:
            assert event["sequence_number"] == len(events)
            events.append(event)

    def text(self, response_id: str) -> str:
        return "".join(each.get("delta", "") for each in self.responses[response_id])


class Stream(Entries):
    """Follows a conversation by server-sent events."""

    def __init__(self, url: str, conversation: str, after: int = -1) -> None:
        super().__init__(after)
        self._url = f"{url}/v1/conversations/{conversation}/feed"

    async def follow(self) -> None:
        """Read until the conversation is deleted, or its feed has expired."""
        async with httpx2.AsyncClient(timeout=30, verify=False) as http:
            while not self.ended:
                with suppress(httpx2.TransportError):
                    await self._read(http)
                await asyncio.sleep(0.1)

    async def _read(self, http: httpx2.AsyncClient) -> None:
        query = {"responses": "false", "starting_after": str(self.newest)}
        async with http.stream("GET", self._url, params=query) as answer:
            if answer.status_code != 200:
                self.refused({"status": answer.status_code} | json.loads(await answer.aread()))
                return
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    said = json.loads(line.removeprefix("data: "))
                    if said["type"] == "error":
                        self.refused(said)
                    else:
                        self.entries.append(said)


def types_of(turns: int) -> list[str]:
    """Return the types of the entries of a conversation with so many turns, one after another."""
    made = ["response.created", "response.ended"] * turns
    return ["opened", *made, "deleted"]
