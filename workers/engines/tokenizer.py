"""Text to token ids and back, as a checkpoint's own tokenizer has it.

Text never becomes a control token here, whatever it spells: control tokens are put between
stretches of text as ids. Encoding goes straight to the tokenizer's Rust core, whose settings are
made once: the Python layer above it sets them anew at each call, which threads may not share.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.checkpoint import first_line, quiet


class LlamaTokenizer:
    """The tokenizer of one checkpoint; safe on any thread.

    Args:
        tokenizer: held from now on; nobody else may change it.
        size: how many ids the model knows, perhaps more than the tokenizer does.
        eos_ids: ids that end an answer besides the tokenizer's own.

    Raises:
        CheckpointError: it has no Rust core, or no BOS.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, size: int, eos_ids: frozenset[int]
    ) -> None:
        core = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(core, Tokenizer):
            raise CheckpointError("the tokenizer has no fast form (tokenizer.json)")
        if tokenizer.bos_token_id is None:
            raise CheckpointError("the tokenizer has no BOS token")
        core.no_truncation()
        core.no_padding()
        core.encode_special_tokens = True
        #: For decode streams; nobody else may change it.
        self.core = core
        self._tokenizer = tokenizer

        known = core.get_vocab(with_added_tokens=True)
        tokens = [""] * max(size, max(known.values()) + 1)
        for token, id in known.items():
            tokens[id] = token
        added = core.get_added_tokens_decoder()
        special = {id for id, token in added.items() if token.special}
        self.tokens: list[str] = tokens
        self.bos_id: int = tokenizer.bos_token_id
        own_eos = tokenizer.eos_token_id
        self.eos_ids: frozenset[int] = eos_ids | ({own_eos} if own_eos is not None else set())
        self.control_ids: frozenset[int] = frozenset(
            {id for id, token in enumerate(tokens) if not token}
            | special
            | set(tokenizer.all_special_ids)
            | self.eos_ids
            | {self.bos_id}
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a stretch of text; none is a control id, whatever the text says."""
        return list(self.core.encode(text, add_special_tokens=False).ids)

    def read(self, text: str) -> list[int]:
        """Return the ids of text in which control tokens are spelled out; only before any turn."""
        self.core.encode_special_tokens = False
        try:
            return list(self.core.encode(text, add_special_tokens=False).ids)
        finally:
            self.core.encode_special_tokens = True

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, control ids left out."""
        return self.core.decode([id for id in ids if id not in self.control_ids])

    @property
    def has_template(self) -> bool:
        """Whether the checkpoint says how its conversations are written."""
        return bool(self._tokenizer.chat_template)

    def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Write a conversation by the checkpoint's own template, ready for the next answer.

        Control tokens come from the template alone: it is rendered over stand-ins, cut at its
        control tokens, and only then are the messages put in their places. Their outer white
        space is dropped.

        Args:
            messages: ``role`` and ``content`` each.

        Raises:
            ValueError: there is no template, or it refuses this conversation.
        """
        stand_ins = [f"\ue000{n}\ue001" for n in range(len(messages))]
        try:
            rendered = self._tokenizer.apply_chat_template(
                [
                    {"role": message["role"], "content": stand_in}
                    for message, stand_in in zip(messages, stand_ins, strict=True)
                ],
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as exc:  # a template may raise whatever it likes
            raise ValueError(f"the model's chat template refused: {exc}") from exc
        frame = str(rendered)
        contents = [message["content"].strip() for message in messages]

        def filled(text: str) -> str:
            return re.sub("\ue000(\\d+)\ue001", lambda found: contents[int(found[1])], text)

        control = {self.tokens[id]: id for id in self.control_ids if self.tokens[id]}
        cuts = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))))
        found = list(cuts.finditer(frame))
        edges = [0, *(edge for match in found for edge in match.span()), len(frame)]
        ids: list[int] = []
        for n, (start, end) in enumerate(pairwise(edges)):
            text = frame[start:end]
            if n % 2:  # a control token and a stretch of text, in turns
                ids.append(control[text])
            elif text:
                ids.extend(self.encode(filled(text)))
        return ids


def load_tokenizer(folder: Path, *, size: int, eos_ids: frozenset[int]) -> LlamaTokenizer:
    """Read the tokenizer of a checkpoint's folder; no network is used.

    Raises:
        CheckpointError: its files are missing or not understood.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"{folder}: cannot read the tokenizer: {first_line(exc)}") from exc
    return LlamaTokenizer(tokenizer, size=size, eos_ids=eos_ids)
