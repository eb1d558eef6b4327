"""The client for ordinary code: an `AsyncClient` on a thread of its own.

A Ctrl-C while a turn is read loses nothing of it: waiting for an event and taking it are two steps,
and the second one is the caller's.
"""

import asyncio
import atexit
import ssl
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from turnstream.client.async_client import AsyncClient
from turnstream.client.event import Event, Json, QueuePlace, Response
from turnstream.client.feed import AsyncFeed, FeedEntry
from turnstream.client.options import Options
from turnstream.client.request import CreateBody
from turnstream.client.turn import AsyncTurn

T = TypeVar("T")


class Client:
    """A client of one service. Use it as a context manager, or call `close`.

    Its arguments and methods are those of `AsyncClient`.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        options: Options | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = AsyncClient(url, key=key, options=options, tls=tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="turnstream client", daemon=True
        )
        self._thread.start()
        # For programs that do not close it.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether its socket is open now."""
        return self._client.connected

    def connect(self, *, retry: bool = True) -> None:
        """Open the socket now; otherwise the first turn opens it."""
        self.run(self._client.connect(retry=retry))

    def create(self, **body: Unpack[CreateBody]) -> "Turn":
        """Submit a turn and return it at once; where it was refused, its reader is told."""
        return Turn(self, self.run(self._client.create(**body)))

    def resume(self, response_id: str, *, starting_after: int = -1) -> "Turn":
        """Return a turn that exists, from this client or another."""
        turn = self._client.resume(response_id, starting_after=starting_after)
        return Turn(self, self.run(turn))

    def follow(self, conversation: str, *, starting_after: int | str = -1) -> "Feed":
        """Follow what happens in a conversation, by whichever client."""
        feed = self._client.follow(conversation, starting_after=starting_after)
        return Feed(self, self.run(feed))

    def retrieve(self, response_id: str) -> Response:
        """Return a response as it is now."""
        return self.run(self._client.retrieve(response_id))

    def input_items(self, response_id: str) -> list[Json]:
        """Return what a response answers, oldest first."""
        return self.run(self._client.input_items(response_id))

    def delete(self, response_id: str) -> None:
        """Delete a response that has ended, with its input."""
        self.run(self._client.delete(response_id))

    def models(self) -> list[str]:
        """Return the names of the models, the default one first."""
        return self.run(self._client.models())

    def close(self) -> None:
        """Close its connections. Turns that have not ended go on at the service."""
        if not self._loop.is_closed():
            atexit.unregister(self.close)
            self.run(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Run something of the `AsyncClient` and return its result."""
        future = asyncio.run_coroutine_threadsafe(awaited, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class Turn:
    """A turn that was created or resumed; it has one reader. Its parts are those of `AsyncTurn`."""

    def __init__(self, client: Client, turn: AsyncTurn) -> None:
        self._client = client
        self._turn = turn

    @property
    def id(self) -> str:
        """The response's id; empty before the first event."""
        return self._turn.id

    @property
    def queue(self) -> QueuePlace | None:
        """Where it waits; None once it runs."""
        return self._turn.queue

    @property
    def text(self) -> str:
        """The text of all slices that were read."""
        return self._turn.text

    @property
    def sequence_number(self) -> int:
        """The number of the last event that was read."""
        return self._turn.sequence_number

    def slices(self) -> Iterator[str]:
        """Yield the text of the answer, each piece once and in order.

        Raises:
            RequestRefused, TurnFailed, Unreachable, ClientClosed
        """
        shown = len(self.text)
        for _ in self.events():
            if len(self.text) > shown:
                yield self.text[shown:]
                shown = len(self.text)
        self._turn.raise_for_failure()

    def events(self) -> Iterator[Event]:
        """Yield the events of the response, to the last one, also of a turn that failed.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while (event := self._next()) is not None:
            yield event

    def response(self) -> Response:
        """Read to the end and return the response, also of a turn that failed.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        return self._client.run(self._turn.response())

    def cancel(self) -> None:
        """Ask the service to end the turn, and return at once."""
        self._client.run(self._turn.cancel())

    def steer(self, input: str | Sequence[Mapping[str, Any]]) -> str:
        """Say more while the answer is written; return the id of that once the service has it.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        return self._client.run(self._turn.steer(input))

    @property
    def successor(self) -> "Turn | None":
        """The turn that goes on with what `steer` added, once this one was read to its end."""
        successor = self._turn.successor
        return None if successor is None else Turn(self._client, successor)

    def _next(self) -> Event | None:
        self._client.run(self._turn.wait())
        return self._turn.pop()


class Feed:
    """A conversation that is followed; it has one reader. Its parts are those of `AsyncFeed`."""

    def __init__(self, client: Client, feed: AsyncFeed) -> None:
        self._client = client
        self._feed = feed

    @property
    def id(self) -> str:
        """The conversation's id, or that of a response, as it was given."""
        return self._feed.id

    @property
    def sequence_number(self) -> int:
        """The number of the last entry that was read."""
        return self._feed.sequence_number

    @property
    def cursor(self) -> int | str:
        """The cursor of the last entry that was read: `follow` continues after it."""
        return self._feed.cursor

    def entries(self) -> Iterator[FeedEntry]:
        """Yield the entries, until the conversation is deleted or this is closed.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while (entry := self._next()) is not None:
            yield entry

    def close(self) -> None:
        """Follow it no more; its reader ends."""
        self._client.run(self._feed.close())

    def _next(self) -> FeedEntry | None:
        self._client.run(self._feed.wait())
        return self._feed.pop()
