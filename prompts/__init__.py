"""Conversation to prompt: text, segments, ids and the length of the echo. Standard library only."""

from turnstream.prompts.chat_prompt import AbstractChatPrompt
from turnstream.prompts.content import ChatContent
from turnstream.prompts.control_strings import CONTROL_STRINGS, check_text, neutralise
from turnstream.prompts.errors import ControlStringError, PromptError, PromptTooLong
from turnstream.prompts.llama2 import SYSTEM_PROMPT, ChatPromptMetaLlamaLlama2Chat
from turnstream.prompts.options import PromptOptions
from turnstream.prompts.prompt_ids import PromptIds
from turnstream.prompts.registry import prompt_for
from turnstream.prompts.role_type import RoleType
from turnstream.prompts.segments import Segment, exact_echo_len

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
