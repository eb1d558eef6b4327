"""Text to token ids and back, with a checkpoint's own tokenizer.

Text never becomes a control token: these are added as ids between encoded texts. Encoding calls the
tokenizer's Rust core, which is configured once: the Python layer above configures it at each call,
which is not thread-safe.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from turnstream.prompts import CONTROL_STRINGS, neutralise
from turnstream.prompts.broken_marks import breaks_marks, encode_cut, mark_cuts
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.quiet_loading import first_line, quiet

_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")
#: A reply to find in a prompt.
_REPLY = "the reply to find"
#: What templates write between messages and some tokenizers have no control token for.
_TEXT_MARK = re.compile(
    "|".join(
        [
            *map(re.escape, CONTROL_STRINGS),
            r"<\|[A-Za-z_]+\|>",
            r"<(?:start|end)_of_turn>",
            r"</?tool_(?:call|response)>",
            r"\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]",
        ]
    )
)
#: What templates also write, and texts of tools may well have.
_ROLE_MARK = re.compile(
    r"\b(?:USER|ASSISTANT):|### (?:Instruction|Input|Response|指示|入力|応答):"
    r"|(?:設定|ユーザー|システム):"
)


class LlamaTokenizer:
    """The tokenizer of one checkpoint; safe on any thread.

    Args:
        tokenizer: must not be changed by others from now on.
        size: the model's vocabulary size, which may exceed the tokenizer's.
        eos_ids: ids that end an answer, besides the tokenizer's own.

    Raises:
        CheckpointError: it has no Rust core.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, size: int, eos_ids: frozenset[int]
    ) -> None:
        core = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(core, Tokenizer):
            raise CheckpointError("the tokenizer has no fast form (tokenizer.json)")
        core.no_truncation()
        core.no_padding()
        core.encode_special_tokens = True
        #: For decode streams, which must not change it.
        self.core = core
        self._tokenizer = tokenizer
        #: Whether tokens spell bytes as characters, as GPT-2's do.
        self.byte_level: bool = '"ByteLevel"' in json.dumps(json.loads(core.to_str())["decoder"])

        known = core.get_vocab(with_added_tokens=True)
        tokens = [""] * max(size, max(known.values()) + 1)
        for token, id in known.items():
            tokens[id] = token
        added = core.get_added_tokens_decoder()
        special = {id for id, token in added.items() if token.special}
        self.tokens: list[str] = tokens
        #: None with Qwen, whose prompts have none.
        self.bos_id: int | None = tokenizer.bos_token_id
        own_eos = tokenizer.eos_token_id
        self.eos_ids: frozenset[int] = eos_ids | ({own_eos} if own_eos is not None else set())
        self.control_ids: frozenset[int] = frozenset(
            {id for id, token in enumerate(tokens) if not token}
            | special
            | set(tokenizer.all_special_ids)
            | self.eos_ids
            | ({self.bos_id} if self.bos_id is not None else set())
        )

    def grammars(self, vocabulary: int) -> Grammars:
        """Return a compiler of grammars for a model with this tokenizer."""
        return Grammars(self._tokenizer, vocabulary=vocabulary, eos_ids=self.eos_ids)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; none is a control id, whatever the text spells."""
        return list(self.core.encode(text, add_special_tokens=False).ids)

    def read(self, text: str) -> list[int]:
        """Return the ids of a text with control tokens spelled out; not thread-safe."""
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
        """Whether the checkpoint has a chat template."""
        return bool(self._tokenizer.chat_template)

    def use_template(self, template: str, *, needed: tuple[str, ...] = ()) -> None:
        """Use another chat template from now on; the control token after its replies is an EOS.

        Args:
            needed: control tokens without which it cannot be used.

        Raises:
            CheckpointError: one of them is missing, or the template fails on a first conversation.
        """
        control = {self.tokens[id]: id for id in self.control_ids if self.tokens[id]}
        for token in needed:
            if token not in control:
                raise CheckpointError(f"the tokenizer has no control token {token}")
        self._tokenizer.chat_template = template
        asked = {"role": "user", "content": "?"}
        try:
            self.render([asked])
        except ValueError as exc:
            raise CheckpointError(first_line(exc)) from exc
        try:
            ids = self.render([asked, {"role": "assistant", "content": _REPLY}, asked])
        except ValueError:
            # It is for single questions; who sends more is told so.
            return
        after = str(self._tokenizer.decode(ids)).partition(_REPLY)[2].lstrip()
        ends = [id for token, id in control.items() if after.startswith(token)]
        self.eos_ids |= {id for id in ends if id != self.bos_id}

    def check_template(self) -> None:
        """Raise if the chat template fails on the simplest conversation, and so on every turn.

        Raises:
            CheckpointError: it names the folder and says how it fails.
        """
        try:
            self.render([{"role": "user", "content": "?"}])
        except ValueError as exc:
            raise CheckpointError(f"{self._tokenizer.name_or_path}: {first_line(exc)}") from exc

    def tool_template(self) -> str | None:
        """Return the chat template that is used when there are tools."""
        template = self._tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("tool_use") or template.get("default")
        return template if isinstance(template, str) else None

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_last: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> list[int]:
        """Return a conversation's ids by the checkpoint's template, with its generation prompt.

        Control tokens come from the template only: it is rendered with placeholders and split at
        its control tokens before the messages, stripped, replace the placeholders. Marks that the
        template writes as text are broken up where messages have them. Tools and calls, which a
        template takes apart, have control tokens and marks broken up with a space.

        Args:
            messages: ``role`` and ``content`` each, and what a template wants to know of calls.
            continue_last: end with the last message, which is to be continued.
            tools: what the model may call.

        Raises:
            ValueError: there is no template, or it refuses this conversation.
        """
        control = {self.tokens[id]: id for id in self.control_ids if self.tokens[id]}
        contents = [message["content"].strip() for message in messages]
        # A template asks whether a reply with calls has text at all.
        placeholders = [
            f"\ue000{n}\ue001" if content or "tool_calls" not in message else ""
            for n, (content, message) in enumerate(zip(contents, messages, strict=True))
        ]
        try:
            rendered = self._tokenizer.apply_chat_template(
                [
                    broken_up_but_role(message, control) | {"content": placeholder}
                    for message, placeholder in zip(messages, placeholders, strict=True)
                ],
                tools=[broken_up(dict(tool), control) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=not continue_last,
                continue_final_message=continue_last,
            )
        except Exception as exc:  # a template may raise anything
            raise ValueError(f"the model's chat template failed: {exc}") from exc
        frame = str(rendered)
        for n, message in enumerate(messages):
            if message["role"] == "tool" and f'"\ue000{n}\ue001"' in frame:
                # The template writes what a tool returned as JSON.
                contents[n] = json.dumps(contents[n], ensure_ascii=False)[1:-1]
        cuts = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))))
        found = list(cuts.finditer(frame))
        written = {*_TEXT_MARK.findall(frame), *_ROLE_MARK.findall(frame)}
        marks = sorted(written - control.keys())
        if marks and not breaks_marks(self.encode, marks):
            contents = [neutralise(content, marks) for content in contents]
        edges = [0, *(edge for match in found for edge in match.span()), len(frame)]
        ids: list[int] = []
        for n, (start, end) in enumerate(pairwise(edges)):
            text = frame[start:end]
            if n % 2:  # control tokens alternate with text
                ids.append(control[text])
            elif text:
                ids.extend(self._filled(text, contents, marks))
        return ids

    def _filled(self, frame: str, contents: Sequence[str], marks: Sequence[str]) -> list[int]:
        """Return the ids of text of a template, with contents for its placeholders."""
        text = ""
        cuts: list[int] = []
        for n, part in enumerate(_PLACEHOLDER.split(frame)):
            if n % 2:  # the numbers of placeholders alternate with text
                part = contents[int(part)]
                cuts += [len(text) + cut for cut in mark_cuts(part, marks)]
            text += part
        return encode_cut(self.encode, text, cuts) if cuts else self.encode(text)


def broken_up_but_role(message: Mapping[str, Any], control: Collection[str]) -> dict[str, Any]:
    """Return what a message has besides its content, broken up."""
    rest = {key: value for key, value in message.items() if key not in ("role", "content")}
    return {"role": message["role"], **broken_up(rest, control)}


def broken_up(value: Any, control: Collection[str]) -> Any:
    """Return JSON in which no text spells a control token, a mark, or a placeholder."""
    match value:
        case str():
            text = neutralise(value.replace("\ue000", "\ufffd"), tuple(control))
            return neutralise(text, tuple(dict.fromkeys(_TEXT_MARK.findall(text))))
        case list() | tuple():
            return [broken_up(each, control) for each in value]
        case dict():
            return {
                broken_up(key, control): broken_up(each, control) for key, each in value.items()
            }
        case _:
            return value


def load_tokenizer(folder: Path, *, size: int, eos_ids: frozenset[int]) -> LlamaTokenizer:
    """Read the tokenizer of a checkpoint's folder; no network is used.

    Raises:
        CheckpointError: its files are missing or unreadable.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"{folder}: cannot read the tokenizer: {first_line(exc)}") from exc
    return LlamaTokenizer(tokenizer, size=size, eos_ids=eos_ids)
