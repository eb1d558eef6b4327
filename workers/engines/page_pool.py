"""Which pages of the KV cache are free, and which are only remembered.

A page is in use while a slot with a running turn has it. A slot whose turn has ended remembers its
pages for the next turn that begins alike; these can be taken as soon as others need them.
"""

from collections.abc import Iterable


class PagePool:
    """All pages of a cache; a page may belong to several slots."""

    def __init__(self, pages: int) -> None:
        self._free = list(reversed(range(pages)))
        #: How many slots have each page.
        self._owners = [0] * pages
        #: How many of these slots have a running turn.
        self._users = [0] * pages
        self._in_use = 0

    @property
    def free(self) -> int:
        """How many pages no slot has."""
        return len(self._free)

    @property
    def available(self) -> int:
        """How many pages are not in use; some may have to be forgotten first."""
        return len(self._owners) - self._in_use

    def in_use(self, page: int) -> bool:
        """Return whether a slot with a running turn has a page."""
        return self._users[page] > 0

    def shared(self, page: int) -> bool:
        """Return whether several slots have a page."""
        return self._owners[page] > 1

    def take(self) -> int:
        """Return a free page, which is now one slot's and in use."""
        page = self._free.pop()
        self.share([page])
        return page

    def share(self, pages: Iterable[int]) -> None:
        """Give pages to one more slot, which uses them."""
        for page in pages:
            self._owners[page] += 1
            self._use(page)

    def resume(self, pages: Iterable[int]) -> None:
        """Note that a slot uses the pages that it remembered."""
        for page in pages:
            self._use(page)

    def remember(self, pages: Iterable[int]) -> None:
        """Note that a slot no longer uses its pages."""
        for page in pages:
            self._users[page] -= 1
            self._in_use -= not self._users[page]

    def drop(self, pages: Iterable[int]) -> None:
        """Take remembered pages from a slot; those that no other slot has are free."""
        for page in pages:
            self._owners[page] -= 1
            if not self._owners[page]:
                self._free.append(page)

    def _use(self, page: int) -> None:
        self._in_use += not self._users[page]
        self._users[page] += 1
