"""Decoding 256 new ids to text after a prompt of 3,500 tokens: the slicer against usual ways.

All get one id at a time, as an engine's step returns them. `DecodeStream` is primed, and its first
step, which reads the whole prompt, is not measured.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers.decoders import DecodeStream

from benchmarks.report import Row, best_seconds, report, wants_json
from harness import sentencepiece_model
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer

PROMPT_TOKENS = 3500
NEW_TOKENS = 256


def ours(table: ByteTable, ids: Sequence[int]) -> str:
    """Decode with the slicer."""
    slicer = Slicer(table)
    slices = [slicer.feed([id]) for id in ids]
    return "".join(slices) + slicer.finish()


def ours_with_stops(table: ByteTable, ids: Sequence[int]) -> str:
    """Decode with the slicer while it looks for two stop strings."""
    slicer = Slicer(table, stop=["###", "\n\n\n"])
    slices = [slicer.feed([id]) for id in ids]
    return "".join(slices) + slicer.finish()


def decode_stream(backend: Any, primed: DecodeStream, ids: Sequence[int]) -> str:
    """Decode with a stream of the tokenizers library."""
    return "".join([primed.step(backend, id) or "" for id in ids])


def full_decode(tokenizer: Any, prompt: list[int], ids: Sequence[int]) -> str:
    """Decode prompt and answer again for each id, and cut off what was shown."""
    shown, all_ids = len(tokenizer.decode(prompt, skip_special_tokens=True)), list(prompt)
    slices = []
    for id in ids:
        all_ids.append(id)
        text = tokenizer.decode(all_ids, skip_special_tokens=True)
        slices.append(text[shown:])
        shown = len(text)
    return "".join(slices)


def main() -> None:
    as_json = wants_json(__doc__ or "")
    with tempfile.TemporaryDirectory() as name:
        folder = sentencepiece_model.train(Path(name))
        model = sentencepiece_model.processor(folder)
        tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=False)
    table = ByteTable.from_tokens(
        sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
    )
    text = " ".join(sentencepiece_model.CORPUS)
    many_ids = model.encode(text * (1 + 8 * PROMPT_TOKENS // len(text)))
    prompt = [1, *many_ids[: PROMPT_TOKENS - 1]]
    ids = many_ids[PROMPT_TOKENS - 1 :][:NEW_TOKENS]
    assert len(prompt) + len(ids) == PROMPT_TOKENS + NEW_TOKENS
    backend, space = tokenizer.backend_tokenizer, tokenizer.convert_tokens_to_ids("\u2581")

    def primed_stream() -> str:
        stream = DecodeStream(ids=prompt[-8:], skip_special_tokens=True)
        stream.step(backend, space)
        return decode_stream(backend, stream, ids)

    peers = {
        "ours": lambda: ours(table, ids),
        "ours with stop strings": lambda: ours_with_stops(table, ids),
        "DecodeStream": primed_stream,
        "full re-decode": lambda: full_decode(tokenizer, prompt, ids),
    }
    texts = {name: run().strip() for name, run in peers.items()}
    assert len(set(texts.values())) == 1, texts
    # Fast ones get more rounds: they take microseconds, decoding everything again takes seconds.
    quick = {name: peers[name] for name in ("ours", "ours with stop strings", "DecodeStream")}
    slow = {name: run for name, run in peers.items() if name == "ours" or name not in quick}
    quick_best, slow_best = best_seconds(quick, rounds=300), best_seconds(slow, rounds=5)

    def row(case: str, slicer: str, peer: str, floor: float | None) -> Row:
        best = quick_best if peer in quick_best else slow_best
        return Row(
            case=case,
            ours=1e6 * best[slicer] / NEW_TOKENS,
            theirs=1e6 * best[peer] / NEW_TOKENS,
            unit="µs/token",
            against=peer,
            ratio=best[peer] / best[slicer],
            floor=floor,
        )

    report(
        [
            row("slicer_decode_stream", "ours", "DecodeStream", 5),
            row("slicer_full_decode", "ours", "full re-decode", 500),
            row("slicer_with_stop_strings", "ours with stop strings", "DecodeStream", None),
        ],
        as_json,
    )


if __name__ == "__main__":
    main()
