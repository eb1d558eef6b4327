"""What a connection follows, each feed under a name; a new socket is told all of them again."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import msgspec

from turnstream.client.errors import ClientError
from turnstream.client.event import Json
from turnstream.client.feed import AsyncFeed


class Watched:
    """The feeds of one connection.

    Args:
        want: called when a socket is needed; raises `ClientClosed`.
        say: sends a frame if there is a socket.
    """

    def __init__(
        self, retry_seconds: float, want: Callable[[], None], say: Callable[[str], Awaitable[None]]
    ) -> None:
        self.retry_seconds = retry_seconds
        self._want = want
        self._say = say
        self._feeds: dict[str, AsyncFeed] = {}
        self._numbers = count()

    def __bool__(self) -> bool:
        return bool(self._feeds)

    async def watch(self, feed: AsyncFeed) -> None:
        """Send what gets the rest of a feed, now or after the next reconnect.

        Raises:
            ClientClosed
        """
        self._want()
        name = self._name_of(feed) or f"feed-{next(self._numbers)}"
        self._feeds[name] = feed
        await self._say(_frame(name, feed.frame()))

    async def unwatch(self, feed: AsyncFeed) -> None:
        """Want no more of a feed."""
        if (name := self._name_of(feed)) is not None:
            del self._feeds[name]
            await self._say(_frame(name, {"type": "turnstream:conversation.unfollow"}))

    def frames(self) -> Iterator[str]:
        """Yield what is to be sent on a new socket."""
        for name, feed in list(self._feeds.items()):
            yield _frame(name, feed.frame())

    def receive(self, name: str, data: Json) -> bool:
        """Take a message; return whether it was for a feed."""
        if (feed := self._feeds.get(name)) is None:
            return False
        if not feed.receive(data):
            del self._feeds[name]
        return True

    def fail(self, error: ClientError) -> None:
        """Raise an error in all readers, and forget the feeds."""
        for feed in self._feeds.values():
            feed.fail(error)
        self._feeds.clear()

    def _name_of(self, feed: AsyncFeed) -> str | None:
        return next((name for name, other in self._feeds.items() if other is feed), None)


def _frame(name: str, frame: Json) -> str:
    return msgspec.json.encode({**frame, "stream_id": name}).decode()
