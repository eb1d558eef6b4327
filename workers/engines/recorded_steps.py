"""Steps over slots in pages, recorded for several layouts, and replayed.

A GPU finishes the small kernels of a step before Python has launched the next one; a recording is
one launch. It reads and writes the same memory each time. A step without a fitting recording is
launched kernel by kernel and computes the same.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.workers.engines.attention import NewTokens
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.paged_step import Layout, PagedAttention, PagedStep
from turnstream.workers.engines.to_device import to_device

log = logging.getLogger(__name__)

#: The fewest tokens that a step with prompts is recorded for; then each doubling.
LEAST_TOKENS = 64


class Recorder(Protocol):
    """Records steps on a device."""

    #: Page size of the cache that `attend` reads.
    page_tokens: int

    @property
    def attend(self) -> PagedAttention:
        """The attention of the steps."""
        ...

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a function that repeats ``compute`` and returns the same tensor."""
        ...


class PagedSteps:
    """Computes steps over a cache with pages; `record` makes them faster."""

    def __init__(self, model: LlamaForCausalLM, cache: PagedCache, recorder: Recorder) -> None:
        self._model = model
        self.cache = cache
        self._recorder = recorder
        #: Those with the fewest tokens first.
        self._recordings: list[Recording] = []
        #: Why layouts are not recorded.
        self.rejected: dict[Layout, str] = {}

    @property
    def recorded(self) -> list[Layout]:
        """The layouts that are recorded."""
        return [one.layout for one in self._recordings]

    def record(self, layouts: Sequence[Layout], check: Callable[["Recording"], None]) -> None:
        """Record steps; those that fail or do not pass the check are left out.

        Args:
            layouts: the smallest first.
            check: raises if a recording computes something else than the model.
        """
        # The largest first: the others reuse its memory.
        for layout in reversed(layouts):
            try:
                recording = Recording(self._model, self.cache, self._recorder, layout)
                check(recording)
            except Exception as exc:  # drivers and kernels may fail in any way
                self.rejected[layout] = str(exc)
                log.warning(
                    "no CUDA graph for steps of %d turns and %d tokens: %s",
                    layout.turns,
                    layout.tokens,
                    self.rejected[layout],
                )
            else:
                self._recordings.insert(0, recording)

    def logits(self, new_tokens: Sequence[NewTokens], answered: int) -> Tensor:
        """Run the model once; see `Steps.logits`."""
        exact = Layout.of(new_tokens)
        for one in self._recordings:
            if one.layout.fits(exact):
                return one.replay(new_tokens)[:answered]
        return self.plain(new_tokens)[:answered]

    def plain(self, new_tokens: Sequence[NewTokens]) -> Tensor:
        """Return the logits at each turn's last token, without a recording."""
        exact = Layout.of(new_tokens)
        row = to_device(exact.row(new_tokens, scratch=self.cache.scratch), self.cache.device)
        return PagedStep(self.cache, row, exact, self._recorder.attend).logits(self._model)


class Recording:
    """A step of one layout."""

    def __init__(
        self, model: LlamaForCausalLM, cache: PagedCache, recorder: Recorder, layout: Layout
    ) -> None:
        self.layout = layout
        self._scratch = cache.scratch
        self._row = to_device(layout.row([], scratch=cache.scratch), model.device)
        attend = recorder.attend
        self._replay = recorder.record(
            lambda: PagedStep(cache, self._row, layout, attend).logits(model)
        )

    def replay(self, new_tokens: Sequence[NewTokens]) -> Tensor:
        """Return the logits at each turn's last token of a step that fits."""
        row = torch.tensor(self.layout.row(new_tokens, scratch=self._scratch))
        self._row.copy_(row, non_blocking=True)
        return self._replay()[: len(new_tokens)]


def layouts(*, slots: int, prompt_tokens: int) -> list[Layout]:
    """Return what is recorded: decode steps by doubling turns, then steps with prompts."""
    turns = sorted({min(2**n, slots) for n in range(slots.bit_length() + 1)})
    most = prompt_tokens + slots
    sizes = {min(LEAST_TOKENS * 2**n, most) for n in range(most.bit_length())}
    return [
        *(Layout(tokens=count, turns=count, longest=1) for count in turns),
        # One more than any chunk has: with 1, each turn would need a token.
        *(Layout(tokens=size, turns=slots, longest=max(size, 2)) for size in sorted(sizes)),
    ]
