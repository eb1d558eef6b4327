"""Tools: how a model is told of them, and how the calls in its answers are read."""

from turnstream.prompts.tools.formats import (
    CALL_FORMATS,
    TOOL_FORMATS,
    CallFormat,
    ToolFormat,
    format_of_template,
)
from turnstream.prompts.tools.parts import (
    Arguments,
    CallBegun,
    CallEnded,
    CallReader,
    Part,
    Text,
    joined,
)
from turnstream.prompts.tools.tool import AllowedTools, NamedTool, Offer, Tool, ToolChoice, offer

__all__ = [
    "CALL_FORMATS",
    "TOOL_FORMATS",
    "AllowedTools",
    "Arguments",
    "CallBegun",
    "CallEnded",
    "CallFormat",
    "CallReader",
    "NamedTool",
    "Offer",
    "Part",
    "Text",
    "Tool",
    "ToolChoice",
    "ToolFormat",
    "format_of_template",
    "joined",
    "offer",
]
