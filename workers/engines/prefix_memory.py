"""Remembers which server has computed the beginning of a text, so that what follows goes there.

A turn's prompt begins with the prompt and the answer of the turn before it. Beginnings are compared
in whole blocks by their hashes: a wrong match would cost time, never a wrong answer.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

BLOCK_TOKENS = 64
#: Blocks that are remembered; a further one takes the place of the one met longest ago.
KEPT = 65_536


class PrefixMemory:
    """Maps the beginnings of texts to servers, of each salt by itself."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._servers: OrderedDict[int, int] = OrderedDict()

    def remember(self, salt: str, ids: Sequence[int], server: int) -> None:
        """Note that a server has all of a text."""
        for block in _blocks(salt, ids):
            self._servers[block] = server
            self._servers.move_to_end(block)
        while len(self._servers) > self._kept:
            self._servers.popitem(last=False)

    def find(self, salt: str, ids: Sequence[int]) -> int | None:
        """Return the server that has the longest beginning of a text, if that is half of it.

        Less is what many conversations have in common, and would all go to one server.
        """
        server, found = None, 0
        for n, block in enumerate(_blocks(salt, ids), 1):
            if block not in self._servers:
                break
            server, found = self._servers[block], n
        return server if 2 * found * BLOCK_TOKENS >= len(ids) else None


def _blocks(salt: str, ids: Sequence[int]) -> Iterator[int]:
    """Yield a number for each whole block, which depends on all before it."""
    block = hash(salt)
    for start in range(0, len(ids) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        block = hash((block, *ids[start : start + BLOCK_TOKENS]))
        yield block
