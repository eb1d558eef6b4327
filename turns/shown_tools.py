"""A request's tools as its response shows them."""

import json

from turnstream.prompts.tools import AllowedTools, NamedTool, Tool, ToolChoice
from turnstream.turns.shapes import AllowedToolsChoice, FunctionChoice, FunctionTool, ShownChoice


def shown_tool(tool: Tool) -> FunctionTool:
    """Return a tool as a response shows it."""
    return FunctionTool(
        name=tool.name,
        description=tool.description,
        parameters=None if tool.parameters is None else json.loads(tool.parameters),
        strict=tool.strict,
    )


def shown_choice(choice: ToolChoice) -> ShownChoice:
    """Return a choice of tools as a response shows it."""
    match choice:
        case NamedTool(name):
            return FunctionChoice(name=name)
        case AllowedTools(mode, names):
            return AllowedToolsChoice(
                mode=mode, tools=tuple(FunctionChoice(name=name) for name in names)
            )
        case _:
            return choice
