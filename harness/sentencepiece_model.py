"""A tokenizer like Llama 2's, small enough to be trained in a test run.

It has all settings of the real one that matter for echoes: a space before each text, no other
normalisation, digits one by one, bytes for what is not in the vocabulary.
"""

from pathlib import Path
from typing import Any

import sentencepiece

from harness import llama_tokenizer
from turnstream.prompts import SYSTEM_PROMPT

#: Its training text: the words of prompts, and some characters that only bytes can encode.
CORPUS = [
    f"[INST] <<SYS>>\n{SYSTEM_PROMPT}\n<</SYS>>\n\nWho painted the ceiling? [/INST] Michelangelo.",
    "[INST] Hello there, how are you today? [/INST] I am fine, thank you. How can I help you?",
    "[INST] When was it finished? [/INST] It was finished in 1512, after four years of work.",
    "[INST] それは本当ですか。 [/INST] はい、本当です。",
]


def train(folder: Path) -> Path:
    """Write a model of 700 pieces to the folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    llama_tokenizer.train(folder, iter(CORPUS), vocabulary=700, hard_vocab_limit=False)
    return folder


def processor(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Load the model with SentencePiece; text is never encoded to control ids."""
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def transformers_tokenizer(folder: Path, *, legacy: bool) -> Any:
    """Load the model with transformers; control strings in text are encoded to control ids."""
    from transformers import LlamaTokenizer

    return LlamaTokenizer.from_pretrained(folder, legacy=legacy, clean_up_tokenization_spaces=False)


def tokens(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    """Return the pieces of the vocabulary by id."""
    return [model.id_to_piece(id) for id in range(model.vocab_size())]


def control_ids(model: sentencepiece.SentencePieceProcessor) -> set[int]:
    """Return the ids that decoding skips."""
    return {id for id in range(model.vocab_size()) if model.is_control(id) or model.is_unknown(id)}
