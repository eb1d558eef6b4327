"""Which prompt format a model gets.

A format is chosen only for models known to use it exactly. All others get the chat template that
came with their tokenizer.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

#: The key of ``config.json`` that decides before any name does; a `PromptFormat`.
CONFIG_KEY = "turnstream_prompt"


class PromptFormat(StrEnum):
    """The formats that can be asked for by name."""

    LLAMA_2_CHAT = "llama-2-chat"
    #: The tokenizer's own chat template.
    TEMPLATE = "template"


PROMPTS: tuple[str, ...] = tuple(each.value for each in PromptFormat)

#: Llama 2 chat itself and models known to keep its format. "Llama 2" in a name is not enough:
#: many models tuned from it, "instruct" ones above all, have formats of their own.
_LLAMA_2_CHAT = re.compile(
    r"llama-?2-\d+b-chat|elyza-japanese-llama-2-\d+b-(fast-)?instruct", re.IGNORECASE
)


def prompt_format(model_name: str, config: Mapping[str, object] | None = None) -> PromptFormat:
    """Return a model's prompt format, by its config, its name, or the name of its origin.

    Args:
        model_name: a hub name or a folder.
        config: the model's ``config.json``; if it has `CONFIG_KEY`, that alone decides.

    Raises:
        ValueError: the config asks for a format that does not exist.
    """
    config = config or {}
    if (chosen := config.get(CONFIG_KEY)) is not None:
        if str(chosen) not in PROMPTS:
            raise ValueError(f"{CONFIG_KEY} is {chosen!r}; it can be one of {sorted(PROMPTS)}")
        return PromptFormat(str(chosen))
    names = (model_name, str(config.get("_name_or_path", "")))
    if any(_LLAMA_2_CHAT.search(name) for name in names):
        return PromptFormat.LLAMA_2_CHAT
    return PromptFormat.TEMPLATE
