"""Which chat format a worker's model gets: what the settings say, or else its config and name.

The choice is made before the engine starts, because a template may bring a token that ends answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from turnstream.prompts import PromptFormat, prompt_format
from turnstream.prompts.named_templates import named_template, needed_tokens
from turnstream.workers.engine import CheckpointError


class ChatTokenizer(Protocol):
    """A tokenizer that may have a chat template."""

    @property
    def bos_id(self) -> int | None: ...

    @property
    def has_template(self) -> bool: ...

    def use_template(self, template: str, *, needed: tuple[str, ...] = ()) -> None: ...

    def check_template(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChoice:
    """The settings that choose a format."""

    #: `auto`, or a `PromptFormat`.
    wanted: str = "auto"
    #: A file with a chat template.
    file: Path | None = None

    def apply(
        self, tokenizer: ChatTokenizer, *, name: str, config: Mapping[str, Any]
    ) -> PromptFormat:
        """Give a tokenizer its chat template, and return the format of its model.

        Raises:
            CheckpointError: there is no template, or it cannot be used; one line says why.
        """
        if self.file is not None:
            return self._from_file(self.file, tokenizer)
        if self.wanted == "auto":
            try:
                chosen = prompt_format(name, config, has_template=tokenizer.has_template)
            except ValueError as exc:
                raise CheckpointError(f"model {name}: {exc}") from exc
        else:
            chosen = PromptFormat(self.wanted)
        if chosen is PromptFormat.LLAMA_2_CHAT and tokenizer.bos_id is None:
            raise CheckpointError(f"model {name}, prompt format {chosen}: the tokenizer has no BOS")
        template = named_template(chosen)
        if template is not None:
            try:
                tokenizer.use_template(template, needed=needed_tokens(chosen))
            except CheckpointError as exc:
                raise CheckpointError(f"model {name}, prompt format {chosen}: {exc}") from exc
        elif chosen is PromptFormat.TEMPLATE:
            if not tokenizer.has_template:
                raise CheckpointError(
                    f"model {name}: its tokenizer has no chat template; give one by"
                    " --chat-template FILE, or set TURNSTREAM_PROMPT to the format that it was"
                    " trained on, such as llama-2-chat or vicuna"
                )
            tokenizer.check_template()
        return chosen

    def _from_file(self, file: Path, tokenizer: ChatTokenizer) -> PromptFormat:
        try:
            tokenizer.use_template(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, CheckpointError) as exc:
            raise CheckpointError(f"chat template {file}: {exc}") from exc
        return PromptFormat.TEMPLATE
