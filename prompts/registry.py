"""Which prompt class a model gets.

A class is chosen only for a format known to the letter. For everything else the answer is None:
the worker then renders the chat template that came with the tokenizer.
"""

import re
from collections.abc import Mapping

from turnstream.prompts.chat_prompt import AbstractChatPrompt
from turnstream.prompts.llama2 import ChatPromptMetaLlamaLlama2Chat

#: The key of ``config.json`` that overrules any guess from names; its values are ``PROMPTS``' keys.
CONFIG_KEY = "turnstream_prompt"

#: Every name a prompt can be asked for by; "template" is the tokenizer's own chat template.
PROMPTS: Mapping[str, type[AbstractChatPrompt] | None] = {
    "llama-2-chat": ChatPromptMetaLlamaLlama2Chat,
    "template": None,
}

#: Llama 2 chat itself and models known to keep its format. "Llama 2" in a name proves nothing:
#: many models tuned from it, "instruct" ones above all, were given formats of their own.
_LLAMA_2_CHAT = re.compile(
    r"llama-?2-\d+b-chat|elyza-japanese-llama-2-\d+b-(fast-)?instruct", re.IGNORECASE
)


def prompt_for(
    model_name: str, config: Mapping[str, object] | None = None
) -> type[AbstractChatPrompt] | None:
    """Choose a prompt by what the model's config says, then by its name, then by where it is from.

    Args:
        model_name: a hub name or a folder.
        config: the model's ``config.json``; ``turnstream_prompt`` in it decides alone.

    Raises:
        ValueError: the config asks for a prompt that does not exist.
    """
    config = config or {}
    if (chosen := config.get(CONFIG_KEY)) is not None:
        if str(chosen) not in PROMPTS:
            raise ValueError(f"{CONFIG_KEY} is {chosen!r}; it can be one of {sorted(PROMPTS)}")
        return PROMPTS[str(chosen)]
    names = (model_name, str(config.get("_name_or_path", "")))
    if any(_LLAMA_2_CHAT.search(name) for name in names):
        return ChatPromptMetaLlamaLlama2Chat
    return None
