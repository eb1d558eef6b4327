"""What loading a model gives a worker, whichever engine runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from turnstream.prompts import PromptFormat
from turnstream.workers.engine import Engine
from turnstream.workers.engines.tokenizer import LlamaTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A running engine, and what is needed to use it."""

    #: The model's name for clients.
    name: str
    engine: Engine
    tokenizer: LlamaTokenizer
    prompts: PromptFormat
    #: The checkpoint's defaults, for turns that do not set their own.
    temperature: float
    top_p: float


class ChoosePrompts(Protocol):
    """Gives a tokenizer its chat template, and returns the format of its model's prompts."""

    def __call__(
        self, tokenizer: LlamaTokenizer, *, name: str, config: Mapping[str, Any]
    ) -> PromptFormat: ...


def own_template(
    tokenizer: LlamaTokenizer, *, name: str, config: Mapping[str, Any]
) -> PromptFormat:
    """Return the format of a tokenizer's own chat template."""
    return PromptFormat.TEMPLATE
