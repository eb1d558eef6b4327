"""A Llama of a few thousand parameters, made when it is needed, as a Hugging Face folder.

Its weights are random but seeded, and large enough that the logits of the likeliest tokens differ
clearly: its text is meaningless, but every correct way to compute it gives the same text.
"""

from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from harness import llama_tokenizer

#: What the tokenizer learns its pieces from.
TEXT = """
The quick brown fox jumps over the lazy dog while the rain falls softly on the roof of the barn.
A question is asked, an answer is given, and the next question grows out of the answer before it.
Rivers run down to the sea; the sea rises as mist; the mist comes back as rain upon the hills.
[INST] Who are you and what can you do for me today? [/INST] I am a very small model, and I talk.
<<SYS>> Be brief, be kind, be clear, and say so when something is not known. <</SYS>>
Counting goes one, two, three, four, five, six, seven, eight, nine, ten, and then begins again.
Bread is made of flour and water and salt and time, and the oven does the rest of the work.
She wrote the letter in the morning, read it at noon, and burned it in the evening by the fire.
When the train was late the whole platform talked, and when it came everybody was silent again.
Numbers such as 1999, 2024 and 42 are written with digits, and digits are kept one by one.
"""
VOCABULARY = 512
CONTEXT = 256


def make(folder: Path, *, head_dim: int | None = None) -> Path:
    """Train the tokenizer, draw the weights, save both and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder)
    _make_model(folder, head_dim)
    return folder


def make_tokenizer(folder: Path) -> None:
    """Train the tokenizer and save it."""
    lines = iter(TEXT.strip().splitlines() * 4)
    llama_tokenizer.train(folder, lines, vocabulary=VOCABULARY, hard_vocab_limit=False)
    LlamaTokenizer.from_pretrained(folder, legacy=True).save_pretrained(folder)


def _make_model(folder: Path, head_dim: int | None) -> None:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    generator_state = torch.get_rng_state()
    torch.manual_seed(20)
    model = LlamaForCausalLM(config)
    torch.set_rng_state(generator_state)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
