"""The JSON of a request's tools in the record."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from turnstream.prompts.tools import AllowedTools, NamedTool, Tool, ToolChoice


def tool_written(tool: Tool) -> dict[str, object]:
    """Return a tool for the record, without fields that have their default."""
    named = {field.name: getattr(tool, field.name) for field in fields(tool)}
    return {name: value for name, value in named.items() if value not in (None, False)}


def choice_written(choice: ToolChoice) -> object:
    """Return a choice of tools for the record."""
    match choice:
        case NamedTool(name):
            return {"name": name}
        case AllowedTools(mode, names):
            return {"mode": mode, "names": names}
        case _:
            return choice


def choice_read(value: str | Mapping[str, Any]) -> ToolChoice:
    """Read a choice of tools from the record."""
    match value:
        case {"name": name}:
            return NamedTool(name)
        case {"mode": "auto" | "required" as mode, "names": names}:
            return AllowedTools(mode, tuple(names))
        case "none" | "required":
            return value
        case _:
            return "auto"
