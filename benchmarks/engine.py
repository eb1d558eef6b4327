"""The engine on a CPU, held against transformers' own ways to answer many prompts at once.

A Llama of 161M parameters with random weights: what it says is noise, what it costs is not.
"""

import random
import threading
import time
from collections.abc import Sequence
from copy import deepcopy

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

from benchmarks.report import Row, in_turns, report, wants_json
from workers.engine import Finish, Sampling
from workers.engines.slot_engine import SlotEngine

TURNS = 16
NEW_TOKENS = 128
HISTORY_TOKENS = 900
ROUNDS = 3

SHAPE = LlamaConfig(
    vocab_size=32000,
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    max_position_embeddings=2048,
)
GREEDY = GenerationConfig(
    max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=-1, pad_token_id=0
)


class Prompts:
    """Prompts of 32 to 63 tokens, new ones each time: nobody may remember the last round's."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def text(self, length: int) -> list[int]:
        """Return one prompt of this many tokens."""
        return [1, *(self._random.randrange(3, SHAPE.vocab_size) for _ in range(length - 1))]

    def batch(self) -> list[list[int]]:
        """Return a prompt for each turn."""
        return [self.text(self._random.randrange(32, 64)) for _ in range(TURNS)]


def answer(engine: SlotEngine, prompts: Sequence[Sequence[int]], max_tokens: int) -> None:
    """Answer all prompts at once and return when the last one ends."""
    left = threading.Semaphore(0)

    def on_step(ids: Sequence[int], finish: Finish | None) -> None:
        if finish:
            left.release()

    for prompt in prompts:
        engine.submit(prompt, Sampling(max_tokens=max_tokens, temperature=0), on_step)
    for _ in prompts:
        left.acquire()


def padded_generate(model: LlamaForCausalLM, prompts: Sequence[Sequence[int]]) -> None:
    """Answer all prompts as one batch, each padded to the longest."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + [*prompt] for prompt in prompts])
    model.generate(ids, attention_mask=(ids != 0).long(), generation_config=GREEDY)


def continuous_generate(model: LlamaForCausalLM, prompts: Sequence[Sequence[int]]) -> None:
    """Answer all prompts by transformers' continuous batching."""
    model.generate_batch(
        [list(prompt) for prompt in prompts],
        generation_config=GREEDY,
        continuous_batching_config=ContinuousBatchingConfig(
            page_size=32, num_blocks=128, max_batch_tokens=512
        ),
        progress_bar=False,
    )


def second_turn(engine: SlotEngine, prompts: Prompts) -> tuple[float, float]:
    """Return the seconds to the first token of a first turn and of one that carries it on."""

    def first_token(prompt: list[int]) -> float:
        start = time.perf_counter()
        answer(engine, [prompt], 1)
        return time.perf_counter() - start

    history = prompts.text(HISTORY_TOKENS)
    fresh = first_token(prompts.text(HISTORY_TOKENS + 32))
    first_token(history)
    return fresh, first_token([*history, *prompts.text(32)])


def main() -> None:
    """Measure and report."""
    as_json = wants_json("the engine on a CPU against transformers")
    torch.manual_seed(0)
    ours = LlamaForCausalLM(SHAPE).to(torch.bfloat16).eval()
    theirs, paged = deepcopy(ours), deepcopy(ours)
    engine = SlotEngine(
        ours, rows=TURNS, context=1024, eos_ids=frozenset(), after_step=lambda: None
    )
    prompts = Prompts()
    answer(engine, prompts.batch(), 4)  # to warm up
    best = in_turns(
        {
            "engine": lambda: answer(engine, prompts.batch(), NEW_TOKENS),
            "generate": lambda: padded_generate(theirs, prompts.batch()),
            "continuous": lambda: continuous_generate(paged, prompts.batch()),
        },
        rounds=ROUNDS,
    )
    fresh, carried_on = map(
        min, zip(*(second_turn(engine, prompts) for _ in range(3)), strict=True)
    )
    engine.stop(0)

    tokens = TURNS * NEW_TOKENS
    report(
        [
            Row(
                case="cpu_batch_vs_generate",
                ours=tokens / best["engine"],
                theirs=tokens / best["generate"],
                unit="tokens/s",
                against="static padded generate",
                ratio=best["generate"] / best["engine"],
                floor=1.2,
            ),
            Row(
                case="cpu_batch_vs_transformers_cb",
                ours=tokens / best["engine"],
                theirs=tokens / best["continuous"],
                unit="tokens/s",
                against="transformers' continuous batching",
                ratio=best["continuous"] / best["engine"],
                floor=1.5,
            ),
            Row(
                case="second_turn_first_token",
                ours=carried_on,
                theirs=fresh,
                unit="s",
                against="a first turn of the same length",
                ratio=fresh / carried_on,
                floor=1 / 0.3,
            ),
        ],
        as_json,
    )


if __name__ == "__main__":
    main()
