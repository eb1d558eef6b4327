"""Replies by ChatStream's method and by the slicer, on a tokenizer of one kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import sentencepiece_model
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat, PromptOptions
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer


@dataclass(frozen=True)
class Bench:
    """A tokenizer of one kind, and the two methods."""

    model: Any
    tokenizer: Any
    table: ByteTable

    def begin(self, reply: str) -> list[int]:
        """Return the ids of a reply after a prompt, with a leading space only if it has one."""
        ids: list[int] = self.model.encode("\n" + reply.removeprefix(" "))
        newline = self.model.encode("\n")
        assert ids[: len(newline)] == newline
        return ([self.model.piece_to_id("\u2581")] if reply[0] == " " else []) + ids[len(newline) :]

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids with transformers, without control tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def article(
        self,
        prompt: ChatPromptMetaLlamaLlama2Chat,
        reply: str,
        opts: PromptOptions | None = None,
        text: str | None = None,
    ) -> str:
        """Return a reply by the article's method; `text` replaces the prompt's text."""
        text = prompt.create_prompt(opts) if text is None else text
        plain = text
        for token in ("<s>", "</s>", "<unk>"):
            plain = plain.replace(token, "")
        decoded = self.decode(self.tokenizer(text)["input_ids"] + self.begin(reply))
        return decoded[prompt.get_custom_skip_echo_len(len(plain)) :].strip()

    def ours(
        self,
        prompt: ChatPromptMetaLlamaLlama2Chat,
        reply: str,
        opts: PromptOptions | None = None,
    ) -> str:
        """Return a reply by its ids; `EchoCut` must give the same."""
        built = prompt.create_prompt_ids(self.model.encode, opts)
        ids = self.begin(reply)
        slicer = Slicer(self.table)
        shown = "".join([slicer.feed([id]) for id in ids]) + slicer.finish()
        by_text = EchoCut(prompt.get_skip_len(), exact_len=built.echo_len, counts=EchoCounts())
        cut_out = "".join(
            [by_text.feed(self.decode(built.ids + ids[: n + 1])) for n in range(len(ids))]
        )
        cut_out += by_text.finish()
        assert cut_out == shown, (cut_out, shown)
        return shown


def bench(folder: Path, *, legacy: bool) -> Bench:
    """Load a tokenizer of one kind; see `sentencepiece_model`."""
    model = sentencepiece_model.processor(folder)
    return Bench(
        model=model,
        tokenizer=sentencepiece_model.transformers_tokenizer(folder, legacy=legacy),
        table=ByteTable.from_tokens(
            sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
        ),
    )
