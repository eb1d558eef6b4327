"""Turns that arrive at random times, and how long each waits for its first token.

The peer answers in static batches: all turns that arrived before a batch begins are padded and
answered together. Its first token counts when it is computed, although a reader of a static batch
would see it only at the end of the batch.
"""

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import Any

from transformers import LlamaForCausalLM, StoppingCriteria

from benchmarks.batch import TURNS, Prompts, PromptSource, padded_generate
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Engine, Finish

#: Tokens of each answer.
NEW_TOKENS = 64


class Arrivals:
    """Prompts and the time at which each of them arrives, in seconds from the start.

    Args:
        gap: mean time between two arrivals.
    """

    def __init__(self, prompt_source: PromptSource, *, count: int, gap: float, seed: int) -> None:
        draw = random.Random(seed)
        self.prompts: Prompts = prompt_source.batch(count)
        self.times = [0.0] * count
        for n in range(1, count):
            self.times[n] = self.times[n - 1] + draw.expovariate(1 / gap)


def engine_waits(engine: Engine, arrivals: Arrivals) -> float:
    """Return the mean wait for a first token of our engine, in seconds."""
    count = len(arrivals.prompts)
    firsts = [0.0] * count
    left = threading.Semaphore(0)

    def on_step(n: int, ids: Sequence[int], finish: Finish | None) -> None:
        firsts[n] = firsts[n] or time.perf_counter()
        if finish:
            left.release()

    start = time.perf_counter()
    for n, (at, prompt) in enumerate(zip(arrivals.times, arrivals.prompts, strict=True)):
        time.sleep(max(0.0, start + at - time.perf_counter()))
        sampling = SamplingParams(max_tokens=NEW_TOKENS, temperature=0)
        engine.submit(prompt, sampling, partial(on_step, n))
    for _ in range(count):
        left.acquire()
    return mean(first - start - at for first, at in zip(firsts, arrivals.times, strict=True))


class _FirstToken(StoppingCriteria):
    """Records when a batch has its first token; it never stops the batch."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        self.at = self.at or time.perf_counter()
        return input_ids.new_zeros(input_ids.shape[0], dtype=bool)


def static_waits(model: LlamaForCausalLM, arrivals: Arrivals) -> float:
    """Return the mean wait for a first token of static batches of at most `TURNS`."""
    waits: list[float] = []
    start = time.perf_counter()
    while len(waits) < len(arrivals.prompts):
        first = len(waits)
        time.sleep(max(0.0, start + arrivals.times[first] - time.perf_counter()))
        now = time.perf_counter() - start
        together = [at for at in arrivals.times[first : first + TURNS] if at <= now]
        token = _FirstToken()
        prompts = arrivals.prompts[first : first + len(together)]
        padded_generate(model, prompts, NEW_TOKENS, stopping_criteria=[token])
        waits += [token.at - start - at for at in together]
    return mean(waits)
