"""Read the tools of a request, which of them its answer may call, and whether it must call one.

Functions are called; what other services run themselves is not. Beside functions such a tool is
only repeated in the response, as if the model never chose it; alone it is refused by name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from turnstream.prompts.tools import AllowedTools, NamedTool, Tool, ToolChoice, offer
from turnstream.turns import shapes
from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import BadRequest
from turnstream.ws_server import json_schemas
from turnstream.ws_server.answer_formats import Grammar
from turnstream.ws_server.field import unsupported, wrong

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
#: What the compiler does not support of a schema, it leaves out.
_LENIENT = {"x-guidance": {"lenient": True}}
#: Beside an empty `properties`, these say that a function takes no arguments.
_OF_NO_ARGUMENTS = {"type", "properties", "required", "title", "description", "$schema"}
#: Functions that one request may name.
MOST_TOOLS = 128

Described = dict[str, Any]
Choice = Literal["auto", "none", "required"] | shapes.FunctionChoice | shapes.AllowedTools


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What an answer may call."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = "auto"
    #: Of the tools that are strict, and of those that an answer is held to although they are not.
    grammars: tuple[Grammar, ...] = ()

    @property
    def offered(self) -> frozenset[str]:
        """The names of the tools that may be called."""
        offered = offer(self.tools, self.choice, parallel=True)
        return offered.names if offered else frozenset()

    @property
    def decide_the_end(self) -> bool:
        """Whether a grammar decides where an answer ends."""
        offered = offer(self.tools, self.choice, parallel=True)
        return offered is not None and (
            offered.required or any(tool.strict for tool in offered.tools)
        )


_NO_TOOLS = Tools()


def read(
    described: Sequence[Described],
    choice: Choice,
    params: Sequence[str],
    *,
    text_held: bool = False,
) -> Tools:
    """Read tools and a choice, both in the form of the Responses protocol.

    Args:
        params: the field of each tool's description.
        text_held: text beside calls must follow a grammar, and so must the calls then.

    Raises:
        BadRequest: a tool is described wrongly or not served, or the choice names none of them.
    """
    if not described and choice == "auto":
        return _NO_TOOLS
    tools: list[Tool] = []
    grammars: dict[str, Grammar] = {}
    for tool, param in zip(described, params, strict=True):
        if tool["type"] == "function":
            tools.append(_function(tool, param, grammars))
    names = [tool.name for tool in tools]
    if len(names) > MOST_TOOLS:
        raise wrong("tools", f"at most {MOST_TOOLS} functions")
    for name, at in zip(names, params, strict=False):
        if names.count(name) > 1:
            raise wrong(at, f"the only function called {name!r}")
    if described and not tools and choice != "none":
        raise unsupported(
            f"{params[0]}.type", f"{described[0]['type']} is not run here; send functions."
        )
    chosen = Tools(tools=tuple(tools), choice=_choice(choice, names))
    held = chosen.offered if text_held or chosen.decide_the_end else frozenset[str]()
    checked = held.union(tool.name for tool in tools if tool.strict)
    compiled = (grammar for name, grammar in grammars.items() if name in checked)
    return replace(chosen, grammars=tuple(compiled))


def check_end(tools: Tools, **fields: object) -> None:
    """Refuse what keeps an answer from ending where its grammar does.

    Raises:
        BadRequest: it names the field.
    """
    for name, value in fields.items():
        if value and tools.decide_the_end:
            raise wrong(name, "left out beside a forced or strict call of a tool")


def _function(tool: Described, param: str, grammars: dict[str, Grammar]) -> Tool:
    name, parameters, strict = tool.get("name"), tool.get("parameters"), tool.get("strict") is True
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong(f"{param}.name", "1 to 128 letters, digits, '_', '-', '.', ':' or '/'")
    description = tool.get("description")
    if description is not None and not isinstance(description, str):
        raise wrong(f"{param}.description", "a string")
    if parameters is not None and not isinstance(parameters, dict):
        raise wrong(f"{param}.parameters", "a JSON schema, an object")
    if parameters is not None:
        at = f"{param}.parameters"
        if strict:
            parameters = json_schemas.prepared(parameters, at, annotated=True)
        else:
            parameters = json_schemas.closed(parameters, at)
        if parameters.keys() <= _OF_NO_ARGUMENTS and not parameters.get("properties", True):
            parameters["additionalProperties"] = False
        # As the worker has it: arguments are an object.
        schema = parameters | {"type": "object"}
        compiled = schema if strict else schema | _LENIENT
        grammars[name] = Grammar(Constraint.json_schema(compiled), at, compiled)
    return Tool(
        name=name,
        description=description,
        parameters=None if parameters is None else json.dumps(parameters, ensure_ascii=False),
        strict=strict,
    )


def _choice(choice: Choice, names: Sequence[str]) -> ToolChoice:
    match choice:
        case shapes.FunctionChoice(name=name):
            _check_named([name], names)
            return NamedTool(name)
        case shapes.AllowedTools(mode=mode, tools=allowed):
            # What is not a function is never called.
            chosen = [str(tool.get("name")) for tool in allowed if tool.get("type") == "function"]
            _check_named(chosen, names)
            if mode == "required" and not chosen:
                raise _no_function("tool_choice")
            return AllowedTools(mode, tuple(chosen))
        case "required" if not names:
            raise _no_function("tool_choice")
        case _:
            return choice


def _check_named(chosen: Sequence[str], names: Sequence[str]) -> None:
    for name in chosen:
        if name not in names:
            raise wrong("tool_choice", f"of functions in 'tools', which has no {name[:80]!r}")


def _no_function(param: str) -> BadRequest:
    return wrong(param, "auto or none: 'tools' has no function to call")
