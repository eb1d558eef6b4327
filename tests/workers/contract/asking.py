"""Prompts, sampling parameters and reference answers for the contract's tests."""

import random
from collections.abc import Sequence
from functools import cache

import torch
from transformers import LlamaForCausalLM

from harness import tiny_llama
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Finish, FinishReason

CANCELLED = Finish(FinishReason.CANCELLED)
LENGTH = Finish(FinishReason.LENGTH)
STOP = Finish(FinishReason.STOP)


def prompts(count: int, *, seed: int, longest: int = 90) -> list[list[int]]:
    """Return random prompts, of one and of several prefill chunks."""
    rng = random.Random(seed)
    return [
        [1, *(rng.randrange(3, tiny_llama.VOCABULARY) for _ in range(rng.randrange(1, longest)))]
        for _ in range(count)
    ]


def greedy(max_tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0)


def seeded(max_tokens: int, seed: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0.9, top_p=0.95, top_k=200, seed=seed)


def generated(
    model: LlamaForCausalLM, prompt: Sequence[int], max_tokens: int, **settings: float
) -> list[int]:
    """Return the answer of transformers' `generate`, computed once for all ways of an engine."""
    return list(_generated(model, tuple(prompt), max_tokens, **settings))


@cache
def _generated(
    model: LlamaForCausalLM, prompt: tuple[int, ...], max_tokens: int, **settings: float
) -> tuple[int, ...]:
    output = model.generate(
        torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False, **settings
    )
    return tuple(output[0, len(prompt) :].tolist())
