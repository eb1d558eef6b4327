"""Chat templates for models that ship none, in Jinja, one file of `templates/` for each.

A template is only text here; the tokenizer that renders it decides what becomes a control token.
"""

from pathlib import Path

from turnstream.prompts.registry import PromptFormat

_FOLDER = Path(__file__).with_name("templates")
#: Control tokens that a tokenizer must have for a template: without them, no answer would end.
_NEEDED = {PromptFormat.CHATML: ("<|im_start|>", "<|im_end|>")}
#: Formats that are not templates of ours.
_OTHERS = (PromptFormat.LLAMA_2_CHAT, PromptFormat.TEMPLATE)


def named_template(wanted: PromptFormat) -> str | None:
    """Return the template of a format; None if the format is not one of the named templates."""
    if wanted in _OTHERS:
        return None
    return (_FOLDER / f"{wanted}.jinja").read_text(encoding="utf-8")


def needed_tokens(wanted: PromptFormat) -> tuple[str, ...]:
    """Return the control tokens without which a format cannot be used."""
    return _NEEDED.get(wanted, ())
