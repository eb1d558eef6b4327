"""What a connection follows, each feed under a name; a new socket is told all of them again."""

from itertools import count

from turnstream.client.errors import ClientError
from turnstream.client.event import Json
from turnstream.client.feed import AsyncFeed


class Watched:
    """The feeds of one connection."""

    def __init__(self) -> None:
        self._feeds: dict[str, AsyncFeed] = {}
        self._numbers = count()

    @property
    def names(self) -> set[str]:
        """The names of the feeds."""
        return set(self._feeds)

    def add(self, feed: AsyncFeed) -> str:
        """Keep a feed, and return its name."""
        if (name := self._name_of(feed)) is None:
            name = f"feed-{next(self._numbers)}"
            self._feeds[name] = feed
        return name

    def remove(self, feed: AsyncFeed) -> Json | None:
        """Forget a feed; return the frame that tells the service; None: it was not kept."""
        if (name := self._name_of(feed)) is None:
            return None
        del self._feeds[name]
        return {"type": "turnstream:conversation.unfollow", "stream_id": name}

    def frame(self, name: str) -> Json:
        """Return the frame that gets the rest of a feed."""
        return {**self._feeds[name].frame(), "stream_id": name}

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
