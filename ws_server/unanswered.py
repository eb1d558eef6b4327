"""Count the bytes of a socket's requests that wait or run, since they are in memory.

They are not those of the text that was sent: one emoji makes each character of its string take four
bytes, whether it was sent as it is or escaped.
"""

import re
import sys

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.connections.byte_room import Share
from turnstream.ws_server.create import Create

#: What a request, each of its messages, and each token id of a prompt takes in memory beside its
#: text.
REQUEST_BYTES, MESSAGE_BYTES, ID_BYTES = 1024, 256, 36
#: Bytes of memory for each of a tool's schema, which is also kept as objects.
_SCHEMA_FACTOR = 8
#: First byte of a character that takes four.
_ASTRAL = re.compile(rb"[\xf0-\xf4]")


def text_memory(text: str | bytes) -> int:
    """Return the bytes that the strings of a JSON text take in memory, at most."""
    if isinstance(text, bytes):
        return len(text) * _width(text)
    width = 4 if "\\ud" in text or "\\uD" in text else 2 if "\\u" in text else 1
    return max(sys.getsizeof(text), width * len(text))


def _width(text: bytes) -> int:
    if b"\\ud" in text or b"\\uD" in text or _ASTRAL.search(text):
        return 4
    return 2 if b"\\u" in text or not text.isascii() else 1


def memory_of(request: object, size: int) -> int:
    """Return the bytes to count for a request whose strings have `size` bytes."""
    return size + (parts_memory(request) if isinstance(request, Create) else REQUEST_BYTES)


def parts_memory(create: Create) -> int:
    """Return the bytes that a request takes in memory beside its strings."""
    messages = len(create.messages) + len(create.references)
    schemas = sum(len(tool.parameters or "") for tool in create.tools.tools)
    return (
        REQUEST_BYTES
        + messages * MESSAGE_BYTES
        + len(create.prompt_ids) * ID_BYTES
        + schemas * _SCHEMA_FACTOR
    )


class Unanswered:
    """The bytes of all lanes of one socket, and of its control queue.

    Args:
        share: what the socket holds of the node's room.
    """

    def __init__(self, most: int, share: Share) -> None:
        self._most = most
        self._share = share
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count a request, or more of one. A single one is taken whatever its size.

        Raises:
            Overloaded: there would be too many bytes; it is not counted.
        """
        if self._bytes:
            self._check(size, self._bytes)
        self._share.take(size)
        self._bytes += size

    def grow(self, size: int, by: int) -> None:
        """Count more of a request that was counted with `size` bytes.

        Raises:
            Overloaded: there would be too many bytes; it is not counted.
        """
        if self._bytes > size:
            self._check(by, self._bytes)
        self._share.take(by)
        self._bytes += by

    def remove(self, size: int) -> None:
        """Note that a request was answered."""
        self._share.give(size)
        self._bytes -= size

    def _check(self, size: int, others: int) -> None:
        if size + others > self._most:
            raise Overloaded(
                f"This request takes {size} bytes and those on this socket that are not answered"
                f" yet take {others}: together at most {self._most}."
            )
