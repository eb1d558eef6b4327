"""What a grammar costs: 16 turns that follow a schema of 20 fields against the same turns without.

The model is that of `benchmarks.batch`, and its vocabulary of 32,000 tokens is random words.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks import vllm_peer
from benchmarks.batch import CONTEXT, SHAPE, TURNS, PromptSource, new_model
from benchmarks.processes import end_on_sigterm
from benchmarks.report import Row, in_rounds, median_ratio, report, wants_json
from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Engine, Finish
from turnstream.workers.engines.decode_op import load_decode_op
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.slot_engine import SlotEngine

ROUNDS = 5
#: Tokens of each answer.
TOKENS = 40
FIRST_TOKENS = 15
FIELDS = 20
#: Fields are this long, so that every answer reaches its limit.
_LEAST_CHARACTERS = 60


def schema(name: str = "field") -> dict[str, Any]:
    """Return an object of 20 fields of several kinds; another name is another grammar."""
    kinds: list[dict[str, Any]] = [
        {"type": "string", "minLength": _LEAST_CHARACTERS},
        {"type": "array", "items": {"type": "integer"}, "minItems": 20},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 20}}},
        {"anyOf": [{"enum": ["red", "green", "blue"]}, {"type": "string", "minLength": 30}]},
    ]
    fields = {f"{name}_{n}": kinds[n % len(kinds)] for n in range(FIELDS)}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def new_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes and random words, as large as the model's vocabulary."""
    draw = random.Random(1)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {word: n for n, word in enumerate(["<unk>", "<s>", "</s>", *sorted(alphabet)])}
    while len(vocabulary) < SHAPE.vocab_size:
        word = "".join(draw.choices("etaoinshrdlucmfw ,.\"':0123456789{}[]", k=draw.randint(2, 8)))
        vocabulary.setdefault(word.replace(" ", "Ġ"), len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


class Asked:
    """Answers prompts at once and notes the seconds until some of them have ended."""

    def __init__(self, engine: Engine, prompts: PromptSource) -> None:
        self._engine = engine
        self._prompts = prompts

    def run(
        self, constraints: Sequence[Constraint | None], *, tokens: int = TOKENS, of: int = TURNS
    ) -> float:
        """Return the seconds until the first `of` turns have all their tokens."""
        left, count = threading.Semaphore(0), [0] * len(constraints)
        begun = time.perf_counter()
        for n, constraint in enumerate(constraints):

            def on_step(ids: Sequence[int], finish: Finish | None, n: int = n) -> None:
                count[n] += len(ids)
                if finish and n < of:
                    left.release()

            self._engine.submit(
                self._prompts.text(48),
                SamplingParams(max_tokens=tokens, temperature=0),
                on_step,
                constraint=constraint,
            )
        for _ in range(min(of, len(constraints))):
            left.acquire()
        taken = time.perf_counter() - begun
        if min(count[:of]) < tokens:
            raise AssertionError(f"answers ended too early: {count}")
        return taken


def rows(engine: Engine) -> list[Row]:
    """Measure."""
    asked, same = Asked(engine, PromptSource()), Constraint.json_schema(schema())
    half = TURNS // 2
    runs: dict[str, Callable[[], object]] = {
        "all": lambda: asked.run([same] * TURNS),
        "none": lambda: asked.run([None] * TURNS),
        "beside": lambda: asked.run([None] * half + [same] * half, of=half),
        "alone": lambda: asked.run([None] * TURNS, of=half),
    }
    in_rounds(runs, rounds=1)  # to warm up
    taken = in_rounds(runs, rounds=ROUNDS)
    first: dict[str, list[float]] = {"cold": [], "warm": [], "plain": []}
    for n in range(FIRST_TOKENS):
        new = Constraint.json_schema(schema(f"round{n}_"))
        for case, constraint in (("cold", new), ("warm", new), ("plain", None)):
            first[case].append(asked.run([constraint], tokens=1, of=1))
    print(json.dumps({f"first_token_ms_{k}": round(median(v) * 1000, 1) for k, v in first.items()}))
    return [
        Row(
            case="constrained_tokens",
            ours=TURNS * TOKENS / median(taken["all"]),
            theirs=TURNS * TOKENS / median(taken["none"]),
            unit="tokens/s",
            against="the same turns without a grammar",
            ratio=median_ratio(taken["none"], taken["all"]),
            floor=0.9,
        ),
        Row(
            case="constrained_neighbours",
            ours=half * TOKENS / median(taken["beside"]),
            theirs=half * TOKENS / median(taken["alone"]),
            unit="tokens/s",
            against="plain turns beside plain turns",
            ratio=median_ratio(taken["alone"], taken["beside"]),
            floor=0.9,
        ),
        *(
            Row(
                case=f"constrained_first_token_{case}",
                ours=median(first[case]),
                theirs=median(first["plain"]),
                unit="s",
                against="a turn without a grammar",
                ratio=median_ratio(first["plain"], first[case]),
            )
            for case in ("cold", "warm")
        ),
    ]


def peer_row(engine: Engine, folder: Path) -> Row:
    """Measure against vLLM's CPU build, all turns with the schema.

    Args:
        folder: has the checkpoint and its tokenizer.
    """
    constraints, prompts = [Constraint.json_schema(schema())] * TURNS, PromptSource()
    asked = Asked(engine, prompts)
    with vllm_peer.vllm_peer(
        folder, slots=TURNS, context=CONTEXT, max_tokens=TOKENS, schema=json.dumps(schema())
    ) as peer:
        runs: dict[str, Callable[[], object]] = {
            "ours": lambda: asked.run(constraints),
            "vllm": lambda: peer([prompts.text(48) for _ in range(TURNS)]),
        }
        in_rounds(runs, rounds=1)  # to warm up
        taken = in_rounds(runs, rounds=ROUNDS)
    return Row(
        case="constrained_vs_vllm",
        ours=TURNS * TOKENS / median(taken["ours"]),
        theirs=TURNS * TOKENS / median(taken["vllm"]),
        unit="tokens/s",
        against="vLLM's CPU build with the same schema",
        ratio=median_ratio(taken["vllm"], taken["ours"]),
    )


def main() -> None:
    """Measure and report."""
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    tokenizer, model = new_tokenizer(), new_model()
    with TemporaryDirectory() as name:
        folder = Path(name, "model")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        engine = SlotEngine(
            model,
            slots=TURNS,
            context=CONTEXT,
            eos_ids=frozenset({2}),
            after_step=lambda: None,
            decode_op=load_decode_op(Path(name)),
            grammars=Grammars(tokenizer, vocabulary=SHAPE.vocab_size, eos_ids=frozenset({2})),
        )
        found = rows(engine)
        if vllm_peer.PYTHON.exists():
            found.append(peer_row(engine, folder))
        else:
            print(
                "no row for vLLM, which `make test-vllm` installs into .venv-vllm", file=sys.stderr
            )
        engine.stop(0)
    report(found, as_json)


if __name__ == "__main__":
    main()
