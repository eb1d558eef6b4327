"""Trains SentencePiece models with the settings of Llama 2's tokenizer.

Those that matter: a space before each text, no other normalisation, digits one by one, and bytes
for characters that are not in the vocabulary.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece


def train(folder: Path, lines: Iterator[str], *, vocabulary: int, **settings: Any) -> None:
    """Write `tokenizer.model` to a folder.

    Args:
        lines: the training text.
        vocabulary: how many tokens it has, control tokens included.
        settings: further settings of the trainer.
    """
    # Written to memory, because a model file contains the path that it was written to.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
        **settings,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
