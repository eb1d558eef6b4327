"""Decode steps recorded for several batch sizes, and replayed.

A GPU finishes the small kernels of a decode step before Python has launched the next one; a
recording is one launch. It reads and writes the same memory each time, so a step's input is copied
there; a step with fewer turns than the recording repeats its last turn.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.workers.engines.attention import NewTokens, PackedStep, Step
from turnstream.workers.engines.kv_cache import KvCache

log = logging.getLogger(__name__)

#: The largest mean difference of a recording's logits, in standard deviations of the logits.
TOLERANCE = 0.05


class Recorder(Protocol):
    """Records steps on a device."""

    #: Page size of the cache that `attend` reads.
    page_tokens: int

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a function that repeats ``compute`` and returns the same tensor."""
        ...

    def attend(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        table: Tensor,
        lengths: Tensor,
        scaling: float,
    ) -> Tensor:
        """Attend from each query to the first ``lengths`` tokens of its slot.

        The shapes of all operations are the same in each call; only values differ.

        Args:
            queries: ``(turns, heads, head_dim)``.
            keys: ``(pages, page_tokens, kv_heads, head_dim)``, like ``values``.
            table: ``(turns, pages of a slot)`` int32: the pages of each query's slot.
            lengths: ``(turns,)`` int32.

        Returns:
            Like ``queries``.
        """
        ...


class RecordedSteps:
    """Recordings for 1, 2, 4, 8 … turns, up to all slots."""

    def __init__(self, model: LlamaForCausalLM, cache: KvCache, recorder: Recorder) -> None:
        sizes = {min(2**n, cache.slots) for n in range(cache.slots.bit_length() + 1)}
        with torch.inference_mode():
            # The largest first: the others reuse its memory.
            recordings = [
                _Recording(model, cache, recorder, size) for size in sorted(sizes, reverse=True)
            ]
        self.recordings = recordings[::-1]

    def logits(self, step: PackedStep) -> Tensor:
        """Return ``(tokens, vocabulary)``, which the next call overwrites.

        Args:
            step: has decode tokens only.
        """
        fitting = next(one for one in self.recordings if one.size >= step.decode_tokens)
        return fitting.replay(step)


class _RecordedStep(Step):
    def __init__(self, tokens: Tensor, cache: KvCache, recorder: Recorder) -> None:
        self.cache = cache
        self.ids, self.positions, self.slots = tokens.unbind()
        self._recorder = recorder

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        return self._recorder.attend(
            query[0].transpose(0, 1),
            self.cache.paged(keys),
            self.cache.paged(values),
            table=self.cache.table[self.slots],
            lengths=(self.positions + 1).int(),
            scaling=scaling,
        )


class _Recording:
    def __init__(
        self, model: LlamaForCausalLM, cache: KvCache, recorder: Recorder, size: int
    ) -> None:
        self.size = size
        self._tokens = torch.zeros(3, size, dtype=torch.int64, device=model.device)
        step = _RecordedStep(self._tokens, cache, recorder)

        def compute() -> Tensor:
            return model.lm_head(step.hidden(model))

        self._replay = recorder.record(compute)

    def replay(self, step: PackedStep) -> Tensor:
        count = step.decode_tokens
        for mine, given in zip(self._tokens, (step.ids, step.positions, step.slots), strict=True):
            mine[:count] = given
            mine[count:] = given[-1]
        return self._replay()[:count]


def recorded_steps(
    model: LlamaForCausalLM, cache: KvCache, recorder: Recorder
) -> RecordedSteps | None:
    """Record the steps of a model; return None, with a log line, if that fails."""
    try:
        recorded = RecordedSteps(model, cache, recorder)
        _compare(model, cache, recorded)
    except Exception as exc:  # drivers and kernels may fail in any way
        log.warning("CUDA graphs are not used, each step is launched separately: %s", exc)
        return None
    return recorded


def _compare(model: LlamaForCausalLM, cache: KvCache, recorded: RecordedSteps) -> None:
    """Raise unless every recording computes the model's logits, up to rounding."""
    with torch.inference_mode():
        slots = range(cache.slots)
        length = min(9, cache.context - 1)
        prompts = [NewTokens(slot=slot, start=0, ids=[1 + slot % 7] * length) for slot in slots]
        PackedStep(cache, prompts, model.device).hidden(model)
        for one in recorded.recordings:
            new = [NewTokens(slot=slot, start=length, ids=[2]) for slot in slots[: one.size]]
            step = PackedStep(cache, new, model.device)
            plain = model.lm_head(step.hidden(model)).float()
            off = (one.replay(step).float() - plain).abs().mean() / plain.std()
            if not off < TOLERANCE:
                raise ValueError(f"logits for {one.size} turns are off by {off:.2f}")
