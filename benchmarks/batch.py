"""Many prompts answered at once, by our engine and by its peers: what `benchmarks.engine` compares.

A Llama of 161M parameters with random weights: what it says is noise, what it costs is not. A peer
is a function that takes prompts and returns when each of them has its answer; another one is
another case in `load`.
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
#: What a step multiplies for each token: all weights but the table that ids are looked up in.
WEIGHTS_A_TOKEN = 12 * (4 * 768 * 768 + 3 * 768 * 3072) + 32000 * 768

Prompts = Sequence[Sequence[int]]
#: Answers every prompt with `NEW_TOKENS` tokens, greedily.
Peer = Callable[[Prompts], None]


class Asker:
    """Prompts that are new each time, so that nobody may remember the last round's."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def text(self, length: int) -> list[int]:
        """Return one prompt of this many tokens."""
        return [1, *(self._random.randrange(3, SHAPE.vocab_size) for _ in range(length - 1))]

    def batch(self, turns: int = TURNS) -> list[list[int]]:
        """Return prompts of 32 to 63 tokens."""
        return [self.text(self._random.randrange(32, 64)) for _ in range(turns)]


def our_engines(cache: Path) -> list[str]:
    """Name our engine in its two ways, with the compiled op only where there is a g++."""
    return ["compiled", "torch"] if load_decode_op(cache) else ["torch"]


def load(name: str, folder: Path, cache: Path) -> Peer:
    """Make one of those who are compared, with a checkpoint.

    Args:
        cache: where the compiled op is kept.
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
    raise ValueError(f"there is nobody called {name}")


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
    """Answer all prompts at once and return when the last one ends."""
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
    """Answer all prompts by transformers' continuous batching."""
    model.generate_batch(
        [list(prompt) for prompt in prompts],
        generation_config=greedy(NEW_TOKENS),
        continuous_batching_config=ContinuousBatchingConfig(
            page_size=32, num_blocks=128, max_batch_tokens=512
        ),
        progress_bar=False,
    )


def greedy(max_tokens: int) -> GenerationConfig:
    """Give the settings of an answer that is always this long."""
    return GenerationConfig(
        max_new_tokens=max_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )


def new_model(shape: LlamaConfig = SHAPE) -> LlamaForCausalLM:
    """Draw the weights."""
    torch.manual_seed(0)
    return LlamaForCausalLM(shape).to(torch.bfloat16).eval()


def timed(runs: Mapping[str, Peer], asker: Asker) -> dict[str, Callable[[], None]]:
    """Let each of them answer a batch of its own at each call."""

    def once(peer: Peer) -> Callable[[], None]:
        return lambda: peer(asker.batch())

    return {name: once(peer) for name, peer in runs.items()}


def main() -> None:
    """Be one of them, for `benchmarks.peer_process`."""
    # What libraries print goes elsewhere.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder, cache = sys.argv[1:]
    with ThreadPoolExecutor(1) as passing:
        peer = passing.submit(load, name, Path(folder), Path(cache)).result()
    print("done", file=out, flush=True)
    for line in sys.stdin:
        peer(json.loads(line))
        print("done", file=out, flush=True)


if __name__ == "__main__":
    main()
