"""Which prompt format a model gets.

A format is chosen only for models known to use it exactly. All others get the chat template that
came with their tokenizer. docs/models.md has the sources.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

#: The key of ``config.json`` that decides before any name does; a `PromptFormat`.
CONFIG_KEY = "turnstream_prompt"


class PromptFormat(StrEnum):
    """The formats that can be asked for by name."""

    LLAMA_2_CHAT = "llama-2-chat"
    VICUNA = "vicuna"
    ALPACA = "alpaca"
    #: Alpaca in Japanese, as Swallow's first instruction models have it.
    ALPACA_JA = "alpaca-ja"
    YOURI_CHAT = "youri-chat"
    CHATML = "chatml"
    #: The tokenizer's own chat template.
    TEMPLATE = "template"


PROMPTS: tuple[str, ...] = tuple(each.value for each in PromptFormat)

#: Llama 2 chat itself and models known to keep its format. "Llama 2" in a name is not enough:
#: many models tuned from it, "instruct" ones above all, have formats of their own.
_LLAMA_2_CHAT = re.compile(
    r"llama-?2-\d+b-chat|elyza-japanese-(llama-2|codellama)-\d+b-(fast-)?instruct", re.IGNORECASE
)
#: Models whose tokenizers came without a template, or did so once.
_WITHOUT_TEMPLATE = (
    (re.compile(r"vicuna-\d+b-v1\.[135]", re.IGNORECASE), PromptFormat.VICUNA),
    (re.compile(r"swallow-\d+b-(nve-)?instruct-hf", re.IGNORECASE), PromptFormat.ALPACA_JA),
    (re.compile(r"youri-7b-chat", re.IGNORECASE), PromptFormat.YOURI_CHAT),
    # The one of 70b was trained with another format.
    (re.compile(r"codellama-(7|13|34)b-instruct", re.IGNORECASE), PromptFormat.LLAMA_2_CHAT),
)


def prompt_format(
    model_name: str, config: Mapping[str, object] | None = None, *, has_template: bool = True
) -> PromptFormat:
    """Return a model's prompt format, by its config, its name, or the name of its origin.

    Args:
        model_name: a hub name or a folder.
        config: the model's ``config.json``; if it has `CONFIG_KEY`, that alone decides.
        has_template: whether the tokenizer has a template, which goes before most names.

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
    if not has_template:
        for pattern, known in _WITHOUT_TEMPLATE:
            if any(pattern.search(name) for name in names):
                return known
    return PromptFormat.TEMPLATE
