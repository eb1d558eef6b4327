"""The client for an event loop; one socket for all its turns."""

import asyncio
import ssl
from types import TracebackType
from typing import Self, Unpack
from urllib.parse import quote
from uuid import uuid4

import msgspec

from turnstream.client.address import Address
from turnstream.client.connection import Connection
from turnstream.client.event import Json, Response
from turnstream.client.feed import AsyncFeed
from turnstream.client.http import HttpCalls
from turnstream.client.options import Options
from turnstream.client.request import CreateBody
from turnstream.client.turn import AsyncTurn


class AsyncClient:
    """A client of one service. Use it as an async context manager, or call `close`.

    Args:
        url: the service's address, with or without `/v1`.
        key: an API key; any, or none, where the service has no keys.
        tls: for `https` addresses; several clients share it, since making one takes long.

    Raises:
        ValueError: the address is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        options: Options | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        address, options = Address(url), options or Options()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if tls is None and address.http.startswith("https"):
            tls = ssl.create_default_context()
        self._connection = Connection(address, headers, options, tls)
        self._http = HttpCalls(address, headers, options.answer_seconds, tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether its socket is open now."""
        return self._connection.is_open

    async def connect(self, *, retry: bool = True) -> None:
        """Open the socket now; otherwise the first turn opens it.

        Args:
            retry: False: raise at the first failure, not after `Options.retry_seconds`.

        Raises:
            RequestRefused, Unreachable
        """
        await self._connection.open(retry=retry)

    async def create(self, **body: Unpack[CreateBody]) -> AsyncTurn:
        """Submit a turn and return it at once; where it was refused, its reader is told.

        If as many turns run as `Options.turns` says, this waits for one of them to end.

        Raises:
            TypeError, ValueError: the body cannot be written as JSON.
            ClientClosed
        """
        create = msgspec.json.encode({"idempotency_key": uuid4().hex, **body})
        turn = AsyncTurn(self._connection, create=msgspec.Raw(create))
        await self._connection.ask(turn)
        return turn

    async def resume(self, response_id: str, *, starting_after: int = -1) -> AsyncTurn:
        """Return a turn that exists, from this client or another.

        Args:
            starting_after: the number of the last event that is known; by default the turn is
                read from its beginning. It must not be the last event of all.
        """
        turn = AsyncTurn(self._connection, create=None, id=response_id, after=starting_after)
        await self._connection.ask(turn)
        return turn

    async def follow(self, conversation: str, *, starting_after: int | str = -1) -> AsyncFeed:
        """Follow what happens in a conversation, by whichever client.

        Args:
            conversation: its id, or that of any response of a tree of turns.
            starting_after: the cursor of the last entry that is known, or its number; by default
                the feed is read from the first entry that is kept.

        Raises:
            ClientClosed
            ValueError: `starting_after` is neither.
        """
        feed = AsyncFeed(self._connection.watched, conversation, starting_after)
        await self._connection.watched.watch(feed)
        return feed

    async def retrieve(self, response_id: str) -> Response:
        """Return a response as it is now.

        Raises:
            RequestRefused, Unreachable
        """
        return Response.of(await self._http.call("GET", f"/responses/{quote(response_id, '')}"))

    async def input_items(self, response_id: str) -> list[Json]:
        """Return what a response answers, oldest first.

        Raises:
            RequestRefused, Unreachable
        """
        path, query = f"/responses/{quote(response_id, '')}/input_items", {"order": "asc"}
        items: list[Json] = []
        while True:
            page = await self._http.call("GET", path, {**query, "limit": "100"})
            items += page["data"]
            if not page["has_more"]:
                return items
            query["after"] = page["last_id"]

    async def delete(self, response_id: str) -> None:
        """Delete a response that has ended, with its input.

        Raises:
            RequestRefused, Unreachable
        """
        await self._http.call("DELETE", f"/responses/{quote(response_id, '')}")

    async def models(self) -> list[str]:
        """Return the names of the models, the default one first.

        Raises:
            RequestRefused, Unreachable
        """
        return [model["id"] for model in (await self._http.call("GET", "/models"))["data"]]

    async def close(self) -> None:
        """Close its connections. Turns that have not ended go on at the service."""
        await asyncio.gather(self._connection.close(), self._http.close())
