"""Receives webhooks for tests, on a port of this machine, and answers as the test says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

#: Longest time until what a test waits for has arrived.
WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    #: By name in lower case.
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]


class WebhookReceiver:
    """Keeps all requests in order. Used as an async context manager.

    `answer` returns the status for a request, or None to leave it without an answer.
    """

    def __init__(self, answer: Callable[[Received], int | None] = lambda _: 200) -> None:
        self.answer = answer
        #: Further headers of its answers.
        self.headers = ""
        #: How long it takes to answer.
        self.delay_seconds = 0.0
        self.received: list[Received] = []
        #: The most requests that waited for an answer at a time.
        self.most_at_once = 0
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._stopped = asyncio.Event()

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/hook"

    async def wait_for(self, claim: Callable[[list[Received]], bool]) -> list[Received]:
        """Wait until a claim about what was received is true, and return that."""
        async with asyncio.timeout(WAIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: claim(self.received))
        return self.received

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Received(head[0].split()[1], headers, body)
            async with self._changed:
                self.received.append(request)
                self._changed.notify_all()
            self._waiting += 1
            self.most_at_once = max(self.most_at_once, self._waiting)
            await asyncio.sleep(self.delay_seconds)
            self._waiting -= 1
            status = self.answer(request)
            if status is None:
                await self._stopped.wait()
                return
            answer = f"HTTP/1.1 {status} X\r\n{self.headers}content-length: 0\r\n\r\n"
            writer.write(answer.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # A node that was killed.
            pass
        finally:
            writer.close()
