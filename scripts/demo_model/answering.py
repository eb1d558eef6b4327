"""Greedy answers from a saved model, in batches, with the prompt format of the service."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, LlamaTokenizer

from scripts.demo_model.corpus import Conversation
from scripts.demo_model.packing import EOS_ID, prompt_of


class Answerer:
    """A saved model and its tokenizer."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self._tokenizer = LlamaTokenizer.from_pretrained(folder, split_special_tokens=True)

    @property
    def context_tokens(self) -> int:
        """The most tokens of a prompt and its answer together."""
        tokens: int = self._model.config.max_position_embeddings
        return tokens

    def encode(self, text: str) -> list[int]:
        """Encode a text without control tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def answer(
        self, conversations: Sequence[Conversation], *, most_tokens: int, at_once: int = 64
    ) -> list[str]:
        """Answer the last question of each conversation; append ✂ to an answer that was cut off."""
        prompts = [prompt_of(one).create_prompt_ids(self.encode).ids for one in conversations]
        answers = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
        for start in range(0, len(order), at_once):
            chosen = order[start : start + at_once]
            generated = self._generate([prompts[n] for n in chosen], most_tokens)
            for n, answer in zip(chosen, generated, strict=True):
                answers[n] = answer
        return answers

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]], most_tokens: int) -> list[str]:
        width = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[EOS_ID] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        out = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=most_tokens,
            do_sample=False,
            pad_token_id=EOS_ID,
        )
        answers = []
        for row in out[:, width:].tolist():
            ended = EOS_ID in row
            text = self._tokenizer.decode(row[: row.index(EOS_ID)] if ended else row)
            answers.append(text.strip() + ("" if ended else "✂"))
        return answers
