"""Count the bytes of a socket's requests that wait or run, since they are in memory."""

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.create import Create

#: What a request, and each of its messages, takes in memory beside its text.
REQUEST_BYTES, MESSAGE_BYTES = 1024, 256


def memory_of(request: object, size: int) -> int:
    """Return the bytes to count for a request whose text has `size` bytes."""
    parts = len(request.messages) + len(request.references) if isinstance(request, Create) else 0
    return size + REQUEST_BYTES + parts * MESSAGE_BYTES


class Unanswered:
    """The bytes of all lanes of one socket, and of its control queue."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count a request, or more of one. A single one is taken whatever its size.

        Raises:
            Overloaded: there would be too many bytes; it is not counted.
        """
        if self._bytes:
            self._check(size, self._bytes)
        self._bytes += size

    def grow(self, size: int, by: int) -> None:
        """Count more of a request that was counted with `size` bytes.

        Raises:
            Overloaded: there would be too many bytes; it is not counted.
        """
        if self._bytes > size:
            self._check(by, self._bytes)
        self._bytes += by

    def remove(self, size: int) -> None:
        """Note that a request was answered."""
        self._bytes -= size

    def _check(self, size: int, others: int) -> None:
        if size + others > self._most:
            raise Overloaded(
                f"This request takes {size} bytes and those on this socket that are not answered"
                f" yet take {others}: together at most {self._most}."
            )
