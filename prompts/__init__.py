"""Conversation to prompt, and model text to reply. Standard library only.

`chatstream` holds the prompt classes with ChatStream's interface, which the service does not use.
"""

from turnstream.prompts.control_strings import CONTROL_STRINGS, check_text, neutralise
from turnstream.prompts.errors import ControlStringError, PromptError, PromptTooLong
from turnstream.prompts.llama2 import SYSTEM_PROMPT
from turnstream.prompts.prompt_ids import PromptIds
from turnstream.prompts.registry import PromptFormat, prompt_format
from turnstream.prompts.segments import Segment, exact_echo_len

__all__ = [
    "CONTROL_STRINGS",
    "SYSTEM_PROMPT",
    "ControlStringError",
    "PromptError",
    "PromptFormat",
    "PromptIds",
    "PromptTooLong",
    "Segment",
    "check_text",
    "exact_echo_len",
    "neutralise",
    "prompt_format",
]
