"""Measure how fast memory is read and how fast an engine answers, against each other.

A step reads all weights once for all turns, and each turn's keys and values. So the time that
takes is the least that a step can take, whatever computes it.
"""

import threading
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Engine, Finish, OnStep

#: How long answers may take before the check gives up.
ANSWER_SECONDS = 1800
_REPEATS = 5


def bandwidth(device: torch.device) -> float:
    """Return how fast memory is read, in bytes a second."""
    block = torch.ones(2 ** (28 if device.type == "cuda" else 25), device=device)
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        block.sum().item()
        best = min(best, time.perf_counter() - start)
    return block.nbytes / best


def bytes_of_a_step(model: LlamaForCausalLM) -> int:
    """Return the size of the weights that each step reads."""
    # A quantised layer's are no parameters.
    parts = (tensor for module in model.modules() for tensor in vars(module).values())
    loose = sum(tensor.nbytes for tensor in parts if isinstance(tensor, Tensor))
    size = loose + sum(parameter.nbytes for parameter in model.parameters())
    if not model.config.tie_word_embeddings:
        # Of the input embeddings it reads a few rows.
        size -= model.model.embed_tokens.weight.nbytes
    return size


def answers(
    engine: Engine, prompts: Sequence[list[int]], tokens: int
) -> tuple[list[list[int]], float]:
    """Answer some prompts together, greedily.

    Returns:
        The answers, and tokens a second from the moment when all have their first one.

    Raises:
        TimeoutError: they take too long.
    """
    found: list[list[int]] = [[] for _ in prompts]
    begun: list[float] = []
    waiting = len(prompts)
    done = threading.Event()

    def listener(ids: list[int]) -> OnStep:
        def on_step(new: Sequence[int], finish: Finish | None) -> None:
            nonlocal waiting
            if new and not ids:
                begun.append(time.perf_counter())
            ids.extend(new)
            waiting -= finish is not None
            if not waiting:
                done.set()

        return on_step

    sampling = SamplingParams(max_tokens=tokens, temperature=0, ignore_eos=True)
    for prompt, ids in zip(prompts, found, strict=True):
        engine.submit(prompt, sampling, listener(ids))
    if not done.wait(ANSWER_SECONDS):
        raise TimeoutError(f"{len(prompts)} answers took more than {ANSWER_SECONDS} s")
    seconds = time.perf_counter() - max(begun, default=0.0)
    return found, len(prompts) * (tokens - 1) / seconds
