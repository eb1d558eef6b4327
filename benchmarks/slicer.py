"""From 256 new ids to shown text after a prompt of 3,500 tokens: ours and the usual ways.

All get one id at a time, as an engine's step gives them. ``DecodeStream`` is primed and has its
first step behind it: that one reads the whole prompt, and afterwards only its last tokens count.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import TextIteratorStreamer

from benchmarks.report import Row, in_turns, report, wants_json
from harness import sentencepiece_model
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer

PROMPT_TOKENS = 3500
NEW_TOKENS = 256


def ours(table: ByteTable, ids: Sequence[int]) -> str:
    slicer = Slicer(table)
    slices = [slicer.feed([id]) for id in ids]
    return "".join(slices) + slicer.finish()


def ours_with_stops(table: ByteTable, ids: Sequence[int]) -> str:
    slicer = Slicer(table, stop=["###", "\n\n\n"])
    slices = [slicer.feed([id]) for id in ids]
    return "".join(slices) + slicer.finish()


def decode_stream(backend: Any, primed: DecodeStream, ids: Sequence[int]) -> str:
    return "".join([primed.step(backend, id) or "" for id in ids])


def full_decode(tokenizer: Any, prompt: list[int], ids: Sequence[int]) -> str:
    shown, all_ids = len(tokenizer.decode(prompt, skip_special_tokens=True)), list(prompt)
    slices = []
    for id in ids:
        all_ids.append(id)
        text = tokenizer.decode(all_ids, skip_special_tokens=True)
        slices.append(text[shown:])
        shown = len(text)
    return "".join(slices)


def iterator_streamer(tokenizer: Any, prompt: torch.Tensor, ids: Sequence[torch.Tensor]) -> str:
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    streamer.put(prompt)
    for id in ids:
        streamer.put(id)
    streamer.end()
    return "".join(streamer)


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
    endless = model.encode(text * (1 + 8 * PROMPT_TOKENS // len(text)))
    prompt = [1, *endless[: PROMPT_TOKENS - 1]]
    ids = endless[PROMPT_TOKENS - 1 :][:NEW_TOKENS]
    assert len(prompt) + len(ids) == PROMPT_TOKENS + NEW_TOKENS
    prompt_tensor, id_tensors = torch.tensor([prompt]), [torch.tensor([id]) for id in ids]
    backend, space = tokenizer.backend_tokenizer, tokenizer.convert_tokens_to_ids("\u2581")

    def primed_stream() -> str:
        stream = DecodeStream(ids=prompt[-8:], skip_special_tokens=True)
        stream.step(backend, space)
        return decode_stream(backend, stream, ids)

    peers = {
        "ours": lambda: ours(table, ids),
        "ours with stop strings": lambda: ours_with_stops(table, ids),
        "DecodeStream": primed_stream,
        "TextIteratorStreamer": lambda: iterator_streamer(tokenizer, prompt_tensor, id_tensors),
        "full re-decode": lambda: full_decode(tokenizer, prompt, ids),
    }
    texts = {name: run().strip() for name, run in peers.items()}
    assert len(set(texts.values())) == 1, texts
    # What takes microseconds is measured in many more rounds than what takes seconds.
    quick = {name: peers[name] for name in ("ours", "ours with stop strings", "DecodeStream")}
    slow = {name: run for name, run in peers.items() if name == "ours" or name not in quick}
    quick_best, slow_best = in_turns(quick, rounds=300), in_turns(slow, rounds=5)

    def row(case: str, mine: str, other: str, floor: float | None) -> Row:
        best = quick_best if other in quick_best else slow_best
        return Row(
            case=case,
            ours=1e6 * best[mine] / NEW_TOKENS,
            theirs=1e6 * best[other] / NEW_TOKENS,
            unit="µs/token",
            against=other,
            ratio=best[other] / best[mine],
            floor=floor,
        )

    report(
        [
            row("slicer_decode_stream", "ours", "DecodeStream", 5),
            row("slicer_iterator_streamer", "ours", "TextIteratorStreamer", None),
            row("slicer_full_decode", "ours", "full re-decode", 500),
            row("slicer_with_stop_strings", "ours with stop strings", "DecodeStream", None),
        ],
        as_json,
    )


if __name__ == "__main__":
    main()
