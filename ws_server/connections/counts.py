"""Count what each address, owner or node holds at a time, and refuse what is too much."""

from collections import Counter


class Counts:
    """Count by key up to a maximum."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Count one more; return False, and count nothing, when there are enough."""
        if self._held[key] >= self.most:
            return False
        self._held[key] += 1
        return True

    def release(self, key: str) -> None:
        """Count one fewer."""
        if self._held[key] > 1:
            self._held[key] -= 1
        else:
            # So that the counter stays as small as what is held.
            del self._held[key]

    def held(self, key: str) -> int:
        """Return the count of a key."""
        return self._held.get(key, 0)


class Permits:
    """What one connection has taken; a WebSocket gets it from the HTTP connection it was."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[Counts, str]] = []

    def take(self, counts: Counts, key: str) -> bool:
        """Count one more until `release`; return False when there are enough."""
        if not counts.take(key):
            return False
        self._taken.append((counts, key))
        return True

    def release(self) -> None:
        """Count off everything."""
        while self._taken:
            counts, key = self._taken.pop()
            counts.release(key)
