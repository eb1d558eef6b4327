"""Steps in which every turn brings one token: recorded for so many turns at once, and played back.

A GPU is done with the small kernels of such a step before Python has launched the next one. A
recording is launched as a whole. It reads and writes the same memory each time, so what is new in a
step is copied there, and a step of fewer turns than were recorded has its last turn several times.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.workers.engines.attention import PackedStep, Part, Step
from turnstream.workers.engines.kv_cache import KvCache

log = logging.getLogger(__name__)

#: How far, of what logits differ by among themselves, those of a recording may be off.
CLOSE = 0.05


class Recorder(Protocol):
    """What a device records steps with."""

    #: What `attend` reads a row in.
    page_tokens: int

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what does again all that ``compute`` does, and returns the same tensor."""
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
        """Let each query look at the first tokens of its row, as many as the row has.

        Whatever hangs on the numbers in a tensor is left to the device.

        Args:
            queries: ``(turns, heads, head_dim)``.
            keys: ``(pages, page_tokens, kv_heads, head_dim)``, like ``values``.
            table: ``(turns, pages of a row)`` int32: the pages of each query's row.
            lengths: ``(turns,)`` int32.

        Returns:
            Like ``queries``.
        """
        ...


class RecordedSteps:
    """Recordings of one, two, four, eight … turns, up to all rows."""

    def __init__(self, model: LlamaForCausalLM, cache: KvCache, recorder: Recorder) -> None:
        sizes = {min(2**n, cache.slots) for n in range(cache.slots.bit_length() + 1)}
        with torch.inference_mode():
            # The largest first: the others find room in its memory.
            recordings = [
                _Recording(model, cache, recorder, size) for size in sorted(sizes, reverse=True)
            ]
        self.recordings = recordings[::-1]

    def logits(self, step: PackedStep) -> Tensor:
        """Return ``(tokens, vocabulary)``; the next step writes over it.

        Args:
            step: every turn in it brings one token.
        """
        fitting = next(one for one in self.recordings if one.size >= step.singles)
        return fitting.play(step)


class _RecordedStep(Step):
    def __init__(self, tokens: Tensor, cache: KvCache, recorder: Recorder) -> None:
        self.cache = cache
        self.ids, self.positions, self.rows = tokens.unbind()
        self._recorder = recorder

    def look(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        return self._recorder.attend(
            query[0].transpose(0, 1),
            self.cache.paged(keys),
            self.cache.paged(values),
            table=self.cache.table[self.rows],
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

        self._play = recorder.record(compute)

    def play(self, step: PackedStep) -> Tensor:
        count = step.singles
        for mine, given in zip(self._tokens, (step.ids, step.positions, step.rows), strict=True):
            mine[:count] = given
            mine[count:] = given[-1]
        return self._play()[:count]


def recorded_steps(
    model: LlamaForCausalLM, cache: KvCache, recorder: Recorder
) -> RecordedSteps | None:
    """Record the steps of a model; None, and a line in the log, where that does not work."""
    try:
        recorded = RecordedSteps(model, cache, recorder)
        _compare(model, cache, recorded)
    except Exception as exc:  # drivers and kernels may fail in any way
        log.warning("steps are not recorded, each is launched anew: %s", exc)
        return None
    return recorded


def _compare(model: LlamaForCausalLM, cache: KvCache, recorded: RecordedSteps) -> None:
    """Raise unless every recording says what the model says, up to rounding."""
    with torch.inference_mode():
        rows = range(cache.slots)
        length = min(9, cache.context - 1)
        prompts = [Part(row=row, start=0, ids=[1 + row % 7] * length) for row in rows]
        PackedStep(cache, prompts, model.device).hidden(model)
        for one in recorded.recordings:
            parts = [Part(row=row, start=length, ids=[2]) for row in rows[: one.size]]
            step = PackedStep(cache, parts, model.device)
            plain = model.lm_head(step.hidden(model)).float()
            off = (one.play(step).float() - plain).abs().mean() / plain.std()
            if not off < CLOSE:
                raise ValueError(f"for {one.size} turns they are off by {off:.2f}")
