"""Trains the demo model's tokenizer: SentencePiece with Llama's settings and byte fallback.

Its training text has no emoji, so that they are always encoded as bytes.
"""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import sentencepiece
from transformers import LlamaTokenizer

from harness import llama_tokenizer
from scripts.demo_model.corpus import Corpus
from scripts.demo_model.known import FACTS
from turnstream.prompts import SYSTEM_PROMPT

VOCABULARY = 3072
#: Most tokens of a conversation; the model is not trained on longer ones.
CONTEXT_TOKENS = 2048

#: Delimiter that no token may span; no text contains it.
_APART = "␟"
#: The longest Japanese tokens: two kanji, a word in katakana, any other single character. Japanese
#: has no spaces, so without this whole phrases would become tokens that no new wording contains.
_JAPANESE_PIECES = re.compile("([一-鿿々]{1,2}|[ァ-ヺー]+|[぀-ゟ]|[　-〿・！？])")

_CONVERSATIONS = 24_000
_EMOJI_FROM = 0x1F000


def train_tokenizer(folder: Path, seed: int) -> None:
    """Train on lines of the corpus, and write all files of the tokenizer to a folder."""
    llama_tokenizer.train(
        folder,
        _lines(Random(seed)),
        vocabulary=VOCABULARY,
        character_coverage=1.0,
        pretokenization_delimiter=_APART,
    )
    _save_for_transformers(folder)


def _lines(rng: Random) -> Iterator[str]:
    """Yield lines of text as the service encodes them."""
    corpus = Corpus()
    for number in range(_CONVERSATIONS):
        conversation = corpus.draw(rng)
        system = conversation.system.text or ""
        texts = [system] if system != SYSTEM_PROMPT or number % 20 == 0 else []
        for turn in conversation.turns:
            texts += [f"[INST] {turn.question} [/INST] {turn.answer}", turn.question]
        if number % 200 == 0:
            texts += ["[INST] <<SYS>>", "<</SYS>>"]
            texts += [fact.answer for fact in FACTS["stories"]]
        for text in texts:
            for line in text.split("\n"):
                clean = "".join(char for char in line if ord(char) < _EMOJI_FROM)
                if clean.strip():
                    yield _JAPANESE_PIECES.sub(f"{_APART}\\1{_APART}", clean)


def _save_for_transformers(folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` beside the SentencePiece model."""
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        # Each segment of text gets a leading space, as in Llama 2's reference code.
        "legacy": True,
        "model_max_length": CONTEXT_TOKENS,
    }
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    LlamaTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))


def load_encoder(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Load the tokenizer with SentencePiece."""
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Write the files of one folder's tokenizer to another folder."""
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
