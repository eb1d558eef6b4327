"""Count the bytes that a node holds for its owners, or for addresses, as they come.

One of them takes at most half, so that it keeps no other out. A single holder may take any size
where nobody else holds anything: its own bound is another's to check.
"""

from collections import Counter

from turnstream.turns.errors import Overloaded


class ByteRoom:
    """Room for bytes.

    Args:
        what: names in a refusal what the bytes are of.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held: Counter[str] = Counter()

    def begin(self, owner: str) -> "Share":
        """Return a share, which holds nothing yet."""
        return Share(self, owner)

    def take(self, owner: str, held: int, size: int) -> None:
        """Count bytes for a holder that has some already.

        Raises:
            Overloaded: there would be too many; nothing was counted.
        """
        total, own = self._held.total(), self._held[owner]
        if (total > held and total + size > self._most) or (
            own > held and own + size > self._most // 2
        ):
            raise Overloaded(
                f"{self._what} have {total} bytes, {own} of them yours: at most {self._most}, and"
                " half of that for each. Try again in a moment."
            )
        self._held[owner] += size

    def give(self, owner: str, size: int) -> None:
        """Count off bytes."""
        self._held[owner] -= size
        if not self._held[owner]:
            # So that the counter stays as small as what is held.
            del self._held[owner]


class Share:
    """What one request, socket or upload holds."""

    __slots__ = ("_owner", "_room", "bytes")

    def __init__(self, room: ByteRoom, owner: str) -> None:
        self._room = room
        self._owner = owner
        self.bytes = 0

    def take(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            Overloaded: there is no room; it holds what it held.
        """
        self._room.take(self._owner, self.bytes, size)
        self.bytes += size

    def give(self, size: int) -> None:
        """Hold fewer bytes."""
        self._room.give(self._owner, size)
        self.bytes -= size

    def close(self) -> None:
        """Hold nothing."""
        if self.bytes:
            self.give(self.bytes)
