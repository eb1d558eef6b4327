"""Prompt classes with ChatStream's interface and figures, and its way to cut off the echo.

The service does not use them: a prompt class written for ChatStream needs only another import.
"""

from turnstream.prompts.chatstream.chat_prompt import AbstractChatPrompt
from turnstream.prompts.chatstream.content import ChatContent
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut
from turnstream.prompts.chatstream.llama2 import ChatPromptMetaLlamaLlama2Chat
from turnstream.prompts.chatstream.options import PromptOptions
from turnstream.prompts.chatstream.role_type import RoleType

__all__ = [
    "AbstractChatPrompt",
    "ChatContent",
    "ChatPromptMetaLlamaLlama2Chat",
    "EchoCounts",
    "EchoCut",
    "PromptOptions",
    "RoleType",
]
