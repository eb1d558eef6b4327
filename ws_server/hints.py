"""Read from a request what has no effect on the answer and is returned with the response.

Both protocols describe the same things differently; a response has the Responses protocol's form.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from turnstream.turns.shapes import (
    AllowedTools,
    BackgroundHints,
    CacheHints,
    FunctionChoice,
    Hints,
    ReasoningHints,
    TextFormat,
    TextOptions,
)
from turnstream.ws_server import answer_formats, request_options, requests
from turnstream.ws_server.field import wrong

#: Fields of a function tool that a response always has.
_FUNCTION = {"description": None, "parameters": None, "strict": None}

Tool = dict[str, Any]
Choice = Literal["auto", "none", "required"] | FunctionChoice | AllowedTools


def of_response(body: requests.ResponseBody) -> Hints:
    """Return the hints of a request for a response.

    Raises:
        BadRequest: a tool is described wrongly.
    """
    choice: Choice = "auto"
    match body.tool_choice:
        case request_options.AllowedToolsChoice(mode=mode, tools=allowed):
            _check(allowed, "tool_choice.tools")
            choice = AllowedTools(mode=mode, tools=tuple(allowed))
        case request_options.FunctionToolChoice(name=name):
            choice = FunctionChoice(name=name)
        case "auto" | "none" | "required" as said:
            choice = said
    _check(body.tools or (), "tools")
    background = body.background_options
    return Hints(
        max_tool_calls=body.max_tool_calls,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        reasoning=_reasoning(body.reasoning),
        text=_text(
            answer_formats.text_of_response(body.text.format if body.text else None),
            body.text.verbosity if body.text else None,
        ),
        tool_choice=choice,
        tools=tuple(map(_whole, body.tools or ())),
        prompt_cache_options=_cache(body.prompt_cache_options),
        background_options=UNSET
        if background is None
        else BackgroundHints(
            completion_window=background.completion_window or "soonest",
            continuation_id=_or_unset(background.continuation_id),
        ),
        **_identifiers(body),
    )


def of_completion(body: requests.CompletionBody) -> Hints:
    """Return the hints of a request for a chat completion, in the form that a response has.

    Raises:
        BadRequest: a tool is described wrongly.
    """
    choice: Choice = "auto"
    match body.tool_choice or body.function_call:
        case request_options.AllowedChatToolsChoice(allowed_tools=allowed):
            _check(allowed.tools, "tool_choice.allowed_tools.tools")
            choice = AllowedTools(mode=allowed.mode, tools=tuple(map(_flat, allowed.tools)))
        case request_options.ChatFunctionChoice(function=named) | (
            request_options.FunctionName() as named
        ):
            choice = FunctionChoice(name=named.name)
        case "auto" | "none" | "required" as said:
            choice = said
    functions = [{"type": "function", **asdict(each)} for each in body.functions or ()]
    _check(body.tools or (), "tools")
    _check(functions, "functions")
    effort = body.reasoning_effort
    return Hints(
        parallel_tool_calls=body.parallel_tool_calls is not False and not is_older(body),
        reasoning=None if effort is None else ReasoningHints(effort=effort),
        text=_text(answer_formats.text_of_completion(body.response_format), body.verbosity),
        tool_choice=choice,
        tools=tuple(map(_whole, [*map(_flat, body.tools or ()), *functions])),
        prompt_cache_options=_cache(body.prompt_cache_options),
        **_identifiers(body),
    )


def is_older(body: requests.CompletionBody) -> bool:
    """Tell whether a request has only `functions`: then an answer has one call at most."""
    return bool(body.functions) and not body.tools


def _identifiers(body: requests.SharedFields) -> dict[str, Any]:
    retention = body.prompt_cache_retention
    return {
        "prompt_cache_key": body.prompt_cache_key,
        "safety_identifier": body.safety_identifier,
        "user": UNSET if body.user is None else body.user,
        "prompt_cache_retention": UNSET if retention is None else retention.replace("-", "_"),
    }


def _or_unset(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _text(written: TextFormat, verbosity: request_options.Verbosity) -> TextOptions:
    return TextOptions(format=written, verbosity=UNSET if verbosity is None else verbosity)


def _reasoning(asked: request_options.ReasoningOptions | None) -> ReasoningHints | None:
    if asked is None:
        return None
    return ReasoningHints(
        effort=asked.effort,
        summary=asked.summary,
        generate_summary=_or_unset(asked.generate_summary),
        context=_or_unset(asked.context),
        mode=_or_unset(asked.mode),
    )


def _cache(asked: request_options.CacheOptions | None) -> CacheHints | UnsetType:
    if asked is None:
        return UNSET
    compared = getattr(asked, "comparison_response_id", None)
    return CacheHints(
        mode=asked.mode or "implicit",
        ttl=asked.ttl or "30m",
        comparison_response_id=_or_unset(compared),
    )


def _check(tools: Sequence[Tool], param: str) -> None:
    """Raise BadRequest unless each tool has its type and can be encoded."""
    for number, tool in enumerate(tools):
        if not isinstance(tool.get("type"), str):
            raise wrong(f"{param}[{number}].type", "a string")


def _flat(tool: Tool) -> Tool:
    """Return a tool of a chat completion request without its nesting."""
    kind = tool["type"]
    inner = tool.get(kind)
    return {**inner, "type": kind} if isinstance(inner, dict) else tool


def _whole(tool: Tool) -> Tool:
    return {"type": "function", **_FUNCTION, **tool} if tool["type"] == "function" else tool
