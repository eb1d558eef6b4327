"""Ways to answer many prompts at once, ours and the peers': what `benchmarks.engine` compares.

The model is a Llama of 161M parameters with random weights: its text is meaningless, its cost is
that of a trained one. A peer is a function that takes prompts and returns when all are answered; a
new peer is a new case in `load`. `python -m benchmarks.batch NAME FOLDER CACHE` serves one of them.
"""

import json
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Engine, Finish
from turnstream.workers.engines.decode_op import DecodeOp, load_decode_op
from turnstream.workers.engines.slot_engine import SlotEngine

TURNS = 16
NEW_TOKENS = 128
CONTEXT = 1024

SHAPE = LlamaConfig(
    vocab_size=32000,
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    max_position_embeddings=2048,
)
#: Products for each token of a step: all weights except the embedding table, which is looked up.
WEIGHTS_A_TOKEN = 12 * (4 * 768 * 768 + 3 * 768 * 3072) + 32000 * 768

Prompts = Sequence[Sequence[int]]
#: Answers every prompt with `NEW_TOKENS` tokens, greedily.
Peer = Callable[[Prompts], None]


class PromptSource:
    """Random prompts, different each time, so that no peer can reuse a cached prefix."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def text(self, length: int) -> list[int]:
        """Return one prompt of this many tokens."""
        return [1, *(self._random.randrange(3, SHAPE.vocab_size) for _ in range(length - 1))]

    def batch(self, turns: int = TURNS) -> list[list[int]]:
        """Return prompts of 32 to 63 tokens."""
        return [self.text(self._random.randrange(32, 64)) for _ in range(turns)]


def our_engines(cache: Path) -> list[str]:
    """Return the names of our engine's variants; the compiled op needs g++."""
    return ["compiled", "torch"] if load_decode_op(cache) else ["torch"]


def load(name: str, folder: Path, cache: Path) -> Peer:
    """Load a checkpoint into the engine or peer of this name.

    Args:
        cache: the folder of the compiled op.
    """
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    match name:
        case "compiled":
            return partial(answer, start_engine(model, load_decode_op(cache)))
        case "torch":
            return partial(answer, start_engine(model, None))
        case "generate":
            return partial(padded_generate, model)
        case "continuous":
            return partial(continuous_generate, model)
    raise ValueError(f"there is no peer called {name}")


def start_engine(model: LlamaForCausalLM, decode_op: DecodeOp | None) -> SlotEngine:
    """Start our engine."""
    return SlotEngine(
        model,
        slots=TURNS,
        context=CONTEXT,
        eos_ids=frozenset(),
        after_step=lambda: None,
        decode_op=decode_op,
    )


def answer(engine: Engine, prompts: Prompts, max_tokens: int = NEW_TOKENS) -> None:
    """Answer all prompts at once; return when the last one has ended."""
    left = threading.Semaphore(0)

    def on_step(ids: Sequence[int], finish: Finish | None) -> None:
        if finish:
            left.release()

    for prompt in prompts:
        engine.submit(prompt, SamplingParams(max_tokens=max_tokens, temperature=0), on_step)
    for _ in prompts:
        left.acquire()


def padded_generate(
    model: LlamaForCausalLM, prompts: Prompts, max_tokens: int = NEW_TOKENS, **options: object
) -> None:
    """Answer all prompts as one batch, each padded to the longest."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + [*prompt] for prompt in prompts])
    model.generate(
        ids,
        attention_mask=(ids != 0).long(),
        generation_config=greedy(max_tokens),
        **options,
    )


def continuous_generate(model: LlamaForCausalLM, prompts: Prompts) -> None:
    """Answer all prompts with transformers' continuous batching."""
    model.generate_batch(
        [list(prompt) for prompt in prompts],
        generation_config=greedy(NEW_TOKENS),
        continuous_batching_config=ContinuousBatchingConfig(
            page_size=32, num_blocks=128, max_batch_tokens=512
        ),
        progress_bar=False,
    )


def greedy(max_tokens: int) -> GenerationConfig:
    """Return the settings of greedy answers of exactly this length."""
    return GenerationConfig(
        max_new_tokens=max_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )


def new_model(shape: LlamaConfig = SHAPE) -> LlamaForCausalLM:
    """Return a model with seeded random weights."""
    torch.manual_seed(0)
    return LlamaForCausalLM(shape).to(torch.bfloat16).eval()


def timed(runs: Mapping[str, Peer], prompt_source: PromptSource) -> dict[str, Callable[[], None]]:
    """Wrap each peer into a call that answers a new batch of prompts."""

    def once(peer: Peer) -> Callable[[], None]:
        return lambda: peer(prompt_source.batch())

    return {name: once(peer) for name, peer in runs.items()}


def main() -> None:
    """Serve one peer to `benchmarks.peer_process`: a batch a line in, `done` a line out."""
    # Output of libraries goes to stderr; stdout carries the protocol only.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder, cache = sys.argv[1:]
    # Loading computes, and the OpenMP threads of a thread that computes live as long as it does.
    with ThreadPoolExecutor(1) as loading:
        peer = loading.submit(load, name, Path(folder), Path(cache)).result()
    print("done", file=out, flush=True)
    for line in sys.stdin:
        peer(json.loads(line))
        print("done", file=out, flush=True)


if __name__ == "__main__":
    main()
