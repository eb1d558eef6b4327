"""Strings that mean something to a Llama-2 prompt, and what to do when they come from outside.

They are ordinary tokens, so no tokenizer setting can take their meaning away; ``<s>`` and
``</s>`` can be tokenised as plain text, and therefore are not in this list.
"""

from collections.abc import Sequence

from turnstream.prompts.errors import ControlStringError

#: Source: meta-llama/llama, ``llama/generation.py``, ``SPECIAL_TAGS``; matched exactly, as there.
CONTROL_STRINGS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")


def check_text(text: str, control_strings: Sequence[str] = CONTROL_STRINGS) -> None:
    """Refuse text that would forge a part of the prompt.

    Raises:
        ControlStringError: the text holds one of the control strings.
    """
    for control_string in control_strings:
        if control_string in text:
            raise ControlStringError(control_string)


def neutralise(text: str, control_strings: Sequence[str] = CONTROL_STRINGS) -> str:
    """Break every control string with a space after its first character.

    For model output, which cannot be refused without ending the conversation.
    """
    for control_string in control_strings:
        text = text.replace(control_string, f"{control_string[0]} {control_string[1:]}")
    return text
