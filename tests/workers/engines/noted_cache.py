"""A cache without memory that notes what it is told."""

from collections.abc import Sequence
from typing import NoReturn

import torch

from turnstream.workers.engines.kv_cache import Copy, KvCache


class NotedCache(KvCache):
    """Notes copies, and which pages each slot was told to have."""

    def __init__(
        self,
        slots: int,
        *,
        shares_pages: bool = False,
        page_tokens: int = 8,
        context: int = 200,
        pages: int | None = None,
    ) -> None:
        super().__init__(
            slots=slots,
            context=context,
            page_tokens=page_tokens,
            pages=pages,
            device=torch.device("cpu"),
        )
        self.shares_pages = shares_pages
        self.copies: list[Copy] = []
        #: By slot.
        self.placed: dict[int, list[int]] = {}
        #: How many pages each slot has memory for.
        self.held: dict[int, int] = {}

    def write(self, *_: object) -> NoReturn:
        raise NotImplementedError

    def read(self, *_: object) -> NoReturn:
        raise NotImplementedError

    def copy(self, copy: Copy) -> None:
        self.copies.append(copy)

    def place(self, slot: int, pages: Sequence[int]) -> None:
        self.placed[slot] = list(pages)
        self.held[slot] = max(len(pages), self.held.get(slot, 0))

    def shrink(self, slot: int, pages: int) -> None:
        self.held[slot] = pages

    def clear(self, slot: int, pages: Sequence[int]) -> None:
        self.placed[slot] = []
