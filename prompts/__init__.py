"""Conversation to prompt: text, segments, ids and the length of the echo. Standard library only."""

from prompts.chat_prompt import AbstractChatPrompt
from prompts.content import ChatContent
from prompts.control_strings import CONTROL_STRINGS, check_text, neutralise
from prompts.errors import ControlStringError, PromptError, PromptTooLong
from prompts.llama2 import SYSTEM_PROMPT, ChatPromptMetaLlamaLlama2Chat
from prompts.options import PromptOptions
from prompts.prompt_ids import PromptIds
from prompts.registry import prompt_for
from prompts.role_type import RoleType
from prompts.segments import Segment, exact_echo_len

__all__ = [
    "CONTROL_STRINGS",
    "SYSTEM_PROMPT",
    "AbstractChatPrompt",
    "ChatContent",
    "ChatPromptMetaLlamaLlama2Chat",
    "ControlStringError",
    "PromptError",
    "PromptIds",
    "PromptOptions",
    "PromptTooLong",
    "RoleType",
    "Segment",
    "check_text",
    "exact_echo_len",
    "neutralise",
    "prompt_for",
]
