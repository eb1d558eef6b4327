"""Which slots are free, which tokens each slot's keys and values belong to, and in which pages.

A slot takes pages as its turn's text grows. It keeps its tokens after its turn has ended, until
others need its pages: the next turn of a conversation starts with them, and many conversations
share a system prompt. The longest common prefix of a new prompt with any slot of its owner is not
computed again; of other owners' slots only what is nobody's own.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from turnstream.workers import metrics
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.engines.kv_cache import Copy, KvCache
from turnstream.workers.engines.page_pool import PagePool

#: A shorter common prefix is not reused: every prompt shares its BOS.
MIN_PREFIX_TOKENS = 16


@dataclass(slots=True, eq=False)
class Slot:
    """One turn's place in the batch and in the KV cache."""

    index: int
    #: The tokens of the turn that has, or last had, this slot.
    ids: list[int] = field(default_factory=list)
    #: The salt of that turn's cache scope.
    salt: str = ""
    #: How many tokens of the turn have their keys and values in the cache.
    written: int = 0
    #: How many tokens were chosen that only the device knows yet.
    pending: int = 0
    #: The memory of its tokens.
    pages: list[int] = field(default_factory=list)


class Slots:
    """All slots of a cache; the free ones in the order in which they became free."""

    def __init__(self, cache: KvCache) -> None:
        self._cache = cache
        self._all = [Slot(index) for index in range(cache.slots)]
        self._free = list(self._all)
        self._pool = PagePool(cache.pages)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    @property
    def available_pages(self) -> int:
        """How many pages no running turn has."""
        return self._pool.available

    def assign(
        self, prompt: list[int], scope: CacheScope = NO_OWNER, *, spare: int = 0
    ) -> Slot | None:
        """Assign a free slot, preferably one that holds this prompt's prefix, and pages for it.

        Its first `written` tokens need no computing.

        Args:
            spare: how many pages must be left for running turns.

        Returns:
            None if no slot is free or there are too few pages; nothing is changed then.
        """
        if not self._free:
            return None
        common = {slot.index: _reusable(slot, prompt, scope) for slot in self._all}
        nearest = max(self._all, key=lambda slot: common[slot.index])
        kept = common[nearest.index]
        slot = None
        if kept >= MIN_PREFIX_TOKENS:
            slot = self._assign(prompt, nearest, kept, spare)
        # The pages of the prefix may be all that can be forgotten.
        slot = slot or self._assign(prompt, None, 0, spare)
        if slot:
            slot.salt = scope.salt
            metrics.prefix_cache(len(prompt), hits=slot.written)
        return slot

    def grow(self, slot: Slot, tokens: int) -> bool:
        """Give a slot pages for so many tokens; return False if too few can be had."""
        wanted = self._pages(tokens)
        if wanted <= len(slot.pages):
            return True
        if wanted - len(slot.pages) > self._pool.available:
            return False
        self._take(slot, wanted)
        return True

    def release(self, slot: Slot) -> None:
        """Free a slot; it keeps the tokens that are both known and written."""
        self._pool.remember(slot.pages)
        _keep(slot, slot.written)
        kept = self._pages(slot.written)
        if kept < len(slot.pages):
            self._drop(slot, kept)
            self._cache.shrink(slot.index, kept)
        self._free.append(slot)

    def clear(self, slot: Slot) -> None:
        """Remove all values of a slot; nothing of it is reused."""
        own = [page for page in slot.pages if not self._pool.shared(page)]
        self._cache.clear(slot.index, own)
        slot.written = 0

    def _assign(self, prompt: list[int], source: Slot | None, kept: int, spare: int) -> Slot | None:
        """Assign a slot that gets the first ``kept`` tokens of a source."""
        held = source.pages[: self._pages(kept)] if source else []
        slot = self._free[0]
        full, begun = divmod(kept, self._cache.page_tokens)
        if source in self._free and 2 * kept >= source.written:
            # Most of what the slot holds is reused; otherwise it is kept for its own conversation.
            slot = source
        if slot is source:
            # The page that the prompt goes on in must be the slot's own.
            reused = full + (begun > 0 and not self._pool.shared(held[-1]))
        else:
            reused = full if self._cache.shares_pages else 0

        remembered = sum(not self._pool.in_use(page) for page in held)
        wanted = self._pages(len(prompt))
        if wanted - reused + spare > self._pool.available - remembered:
            return None
        self._free.remove(slot)
        had = len(slot.pages)
        if slot is source:
            self._pool.resume(held[:reused])
            self._drop(slot, reused)
        else:
            self._pool.share(held[:reused])
            self._drop(slot, 0)
            slot.pages = held[:reused]
        self._take(slot, wanted, needed=held)
        if wanted < had:
            self._cache.shrink(slot.index, wanted)
        if source and (copied := kept - reused * self._cache.page_tokens) > 0:
            if self._cache.shares_pages:
                self._cache.copy(Copy(held[-1], slot.pages[reused], copied))
            else:
                self._cache.copy(Copy(source.index, slot.index, copied))
        slot.ids = list(prompt)
        slot.written = kept
        slot.pending = 0
        return slot

    def _pages(self, tokens: int) -> int:
        return math.ceil(tokens / self._cache.page_tokens)

    def _take(self, slot: Slot, wanted: int, needed: Collection[int] = ()) -> None:
        """Give a slot pages until it has so many; pages that are needed are not forgotten."""
        missing = wanted - len(slot.pages)
        for oldest in self._free:
            if self._pool.free >= missing:
                break
            self._forget(oldest, missing, needed)
        slot.pages += [self._pool.take() for _ in range(missing)]
        self._cache.place(slot.index, slot.pages)

    def _forget(self, slot: Slot, missing: int, needed: Collection[int]) -> None:
        """Take pages from the end of a free slot until so many are free."""
        kept = len(slot.pages)
        while kept and self._pool.free < missing and slot.pages[kept - 1] not in needed:
            kept -= 1
            self._drop(slot, kept)
        _keep(slot, min(slot.written, kept * self._cache.page_tokens))
        self._cache.shrink(slot.index, kept)

    def _drop(self, slot: Slot, kept: int) -> None:
        self._pool.drop(slot.pages[kept:])
        del slot.pages[kept:]


def _keep(slot: Slot, tokens: int) -> None:
    """Forget a slot's tokens but the first ones, as far as they are known."""
    del slot.ids[tokens:]
    slot.written = len(slot.ids)


def _reusable(slot: Slot, prompt: list[int], cache: CacheScope) -> int:
    """Return how many of a prompt's first tokens a turn may take from a slot."""
    common = _common_prefix(slot, prompt)
    return common if slot.salt == cache.salt else min(common, cache.public_tokens)


def _common_prefix(slot: Slot, prompt: list[int]) -> int:
    """Return how many tokens a slot and a prompt share, leaving at least one to compute."""
    low, high = 0, min(slot.written, len(prompt) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if slot.ids[low:middle] == prompt[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
