"""Our own text about tools, for models whose chat template has none.

The calls that it asks for are written as in Hermes, the form that most models have read.
"""

import json
from typing import Any

from turnstream.prompts.control_strings import neutralise
from turnstream.prompts.tools.formats import CALL_FORMATS, ToolFormat
from turnstream.prompts.tools.tool import Offer, Tool

_FORMAT = CALL_FORMATS[ToolFormat.TURNSTREAM]
#: What no message may contain as it stands: a user would forge calls and outputs with it.
_MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")


def system_text(offer: Offer) -> str:
    """Return the part of the system text that tells of the tools."""
    lines = ["You can call these functions:"]
    lines += [json.dumps(described(tool), ensure_ascii=False) for tool in offer.tools]
    form = _FORMAT.written(("NAME", '{"ARGUMENT": VALUE}'))
    lines += ["", f"To call one, answer with nothing but its name and arguments:\n{form}"]
    if offer.required:
        lines.append("Call a function now.")
    elif not offer.parallel:
        lines.append("Call one function at most.")
    return "\n".join(lines)


def described(tool: Tool) -> dict[str, Any]:
    """Return a tool as models read it: its name, description and the schema of its arguments."""
    parameters: Any = {"type": "object", "properties": {}}
    if tool.parameters is not None:
        parameters = json.loads(tool.parameters)
    about = {"description": tool.description} if tool.description else {}
    return {"name": tool.name} | about | {"parameters": parameters}


def call_text(name: str, arguments: str) -> str:
    """Return a past call as the model wrote it."""
    return _FORMAT.written((name, neutralise(arguments, _MARKS)))


def output_text(output: str) -> str:
    """Return what a tool returned, as the model reads it in a request."""
    return f"<tool_response>\n{neutralise(output, _MARKS)}\n</tool_response>"


def message_text(text: str) -> str:
    """Return the text of a message, without marks of calls."""
    return neutralise(text, _MARKS)
