"""What was said to running turns and is not answered yet.

A socket that is lost takes the answers with it. So each has a key: sent again on the next socket,
it is the same.
"""

import asyncio
from collections.abc import Iterator

import msgspec

from turnstream.client.errors import ClientError, RequestRefused
from turnstream.client.event import Json


class Steers:
    """The steers of a client's turns, by their keys."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, asyncio.Future[str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def frames(self) -> Iterator[str]:
        """Yield what is to be sent again on a new socket."""
        for frame, _ in list(self._waiting.values()):
            yield frame

    def add(self, frame: Json) -> tuple[str, asyncio.Future[str]]:
        """Return a steer's frame as text, and what becomes its id."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        text = msgspec.json.encode(frame).decode()
        self._waiting[frame["idempotency_key"]] = text, answer
        return text, answer

    def remove(self, key: str) -> None:
        """Wait for an answer no more."""
        self._waiting.pop(key, None)

    def answered(self, data: Json) -> None:
        """Take an answer, or what else the service says of steers, which has no key."""
        steer = data["steer"]
        _, answer = self._waiting.get(steer.get("idempotency_key", ""), ("", None))
        if answer is None or answer.done():
            return
        if data["type"] == "response.steer.accepted":
            answer.set_result(steer["id"])
        else:
            error = data["error"]
            answer.set_exception(RequestRefused(error["message"], code=error["code"], status=400))

    def fail(self, error: ClientError) -> None:
        """Raise an error where an answer is waited for."""
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(error)
