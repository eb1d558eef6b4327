"""Decode a client's JSON into its declared type; what is wrong becomes an error naming the field.

msgspec rejects unpaired surrogates, NaN and numbers out of range without naming a field. Such text
is read once more with the standard library, only to find the field; unless it is long, since that
takes a while in which the node does nothing else.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import input_items, request_options, requests
from turnstream.ws_server.field import Body, unsupported, wrong
from turnstream.ws_server.input_items import IGNORED_TYPES
from turnstream.ws_server.json_size import check_json_size

T = TypeVar("T", bound=msgspec.Struct)

#: How deep objects and lists may be nested; the deepest that clients send are schemas of tools.
MAX_DEPTH = 64

_ERROR = re.compile(r"(?P<what>.*?)(?: - at `(?:key` in `)?\$\.?(?P<path>.*)`)?", re.DOTALL)
#: Length of a text that is not read once more.
_LONG = 256 * 1024
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED = re.compile(
    r"Expected `(?P<type>[^`]*)`(?P<length> of length)?"
    r"(?: (?P<sign>[<>]=) (?P<bound>\S+))?(?:, got.*)?"
)
_TOKEN_ID = re.compile("0|[1-9][0-9]{0,8}")
#: How a JSON type is called in a message.
_NAMES = {
    "str": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "object": "an object",
    "array": "a list",
}
_BOUNDS = {">=": "at least", "<=": "at most"}


def read_json(text: str | bytes) -> Body:
    """Read an object.

    Raises:
        BadRequest: the text is not JSON, is not an object, has a text or number that JSON lacks, or
            has too much in it.
    """
    check_json_size(text.encode(errors="replace") if isinstance(text, str) else text)
    try:
        body: Any = msgspec.json.decode(text)
    except (ValueError, RecursionError) as exc:
        if len(text) > _LONG:
            raise BadRequest(f"This is not JSON: {exc}", code="invalid_json") from exc
        body = _read_again(text)
    if not isinstance(body, dict):
        raise BadRequest("The JSON is not an object.", code="invalid_json")
    if _containers(text) > MAX_DEPTH:
        _check_depth(body)
    return body


def decode(body: Body, kind: type[T]) -> T:
    """Validate an object.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    present = {name: value for name, value in body.items() if value is not None}
    for name in ("input", "items"):
        if isinstance(items := present.get(name), list):
            present[name] = [_typed(item) for item in items]
    try:
        return msgspec.convert(present, kind)
    except msgspec.ValidationError as exc:
        raise _error(str(exc), present) from exc


def _typed(item: object) -> object:
    if not isinstance(item, dict):
        return item
    match item.get("type"):
        case None:
            # The type may be left out, but a tagged union needs it.
            named = item.get("role") is None and item.get("id") is not None
            return item | {"type": "item_reference" if named else "message"}
        case str(kind) if kind in IGNORED_TYPES:
            return {"type": "reasoning"}
        case _:
            return item


def _containers(text: str | bytes) -> int:
    """Count the brackets that open something: an upper bound of the depth, found quickly."""
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def _check_depth(body: Body) -> None:
    # Python's recursion limit is shared with whatever calls this, so it is no bound of ours.
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in inside for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise BadRequest(f"The JSON is nested more than {MAX_DEPTH} deep.", code="invalid_json")


def _read_again(text: str | bytes) -> object:
    try:
        body: object = json.loads(text)
        for param, value in _leaves(body, ""):
            if isinstance(value, float) and not math.isfinite(value):
                raise wrong(param, "a finite number")
            if isinstance(value, str) and not _is_utf8(value):
                raise wrong(param, "text without unpaired surrogates")
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"This is not JSON: {exc}", code="invalid_json") from exc
    return body


def _leaves(value: object, param: str) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield param or "body", key
                name = f"{param}.{key}" if param else key
                yield from _leaves(inner, name)
        case list():
            for number, inner in enumerate(value):
                yield from _leaves(inner, f"{param}[{number}]")
        case _:
            yield param, value


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _error(text: str, body: Body) -> BadRequest:
    found = _ERROR.fullmatch(text)
    assert found is not None, "msgspec writes what is wrong, and perhaps where"
    what, param = found["what"], found["path"] or ""
    if missing := _MISSING.fullmatch(what):
        param = f"{param}.{missing[1]}" if param else missing[1]
        if "." not in param:
            return BadRequest(
                f"'{param}' is missing.", code="missing_required_parameter", param=param
            )
    field = param.partition(".")[0]
    if field in ("tool_choice", "function_call"):
        return unsupported(field, "it is auto, none, required, a function, or allowed_tools.")
    if param in ("text.format.type", "response_format.type"):
        return BadRequest(
            f"'{param}' must be text, json_object or json_schema.",
            code="unsupported_value",
            param=param,
        )
    if param.startswith("metadata"):
        return _metadata_error(body["metadata"])
    if param.startswith("logit_bias"):
        return _bias_error(body["logit_bias"])
    unsupported_value = param.endswith(".type") or field.startswith("modalities[")
    return BadRequest(
        f"'{param}' must be {_should(what, param)}.",
        code="unsupported_value" if unsupported_value else None,
        param=param,
    )


def _should(what: str, param: str) -> str:
    """Say what a value must be, in a person's words."""
    if what.startswith("Invalid"):
        name = param.rpartition(".")[2].partition("[")[0]
        choices = [str(choice) for choice in _CHOICES.get(name, ())]
        return choices[0] if len(choices) == 1 else "one of " + ", ".join(choices)
    expected = _EXPECTED.fullmatch(what)
    if expected is None:
        return "present" if what.startswith("Object missing") else "in range"
    kind = expected["type"]
    if expected["sign"]:
        number = expected["bound"]
        exact = number if number.lstrip("-").isdigit() else f"{float(number):.12g}"
        bound = f"{_BOUNDS[expected['sign']]} {exact}"
        unit = {"str": "characters", "array": "entries"}.get(kind, "keys")
        return f"{bound} {unit} long" if expected["length"] else bound
    names = [_NAMES.get(each, each) for each in kind.split(" | ") if each != "null"]
    return " or ".join(names)


def _metadata_error(value: object) -> BadRequest:
    """Find the wrong entry: msgspec does not say its key."""
    if isinstance(value, dict):
        for key, text in value.items():
            if len(key) > 64:
                return wrong("metadata", "an object whose keys have at most 64 characters")
            if not isinstance(text, str):
                return wrong(f"metadata.{key}", "a string")
            if len(text) > 512:
                return wrong(f"metadata.{key}", "at most 512 characters long")
    return wrong("metadata", "an object of at most 16 strings")


def _bias_error(value: object) -> BadRequest:
    """Find the wrong entry, whose key msgspec does not say."""
    if isinstance(value, dict) and len(value) <= 300:
        for key, bias in value.items():
            if not _TOKEN_ID.fullmatch(key):
                return wrong("logit_bias", f"an object whose keys are token ids, not {key[:80]!r}")
            if isinstance(bias, bool) or not isinstance(bias, int | float):
                return wrong(f"logit_bias.{key}", "a number")
            if not -100 <= bias <= 100:
                return wrong(f"logit_bias.{key}", "from -100 to 100")
    return wrong("logit_bias", "an object of at most 300 numbers, by token id")


def _choices() -> dict[str, list[object]]:
    """Collect what each field with a fixed set of values, and each tag, may be."""
    found: dict[str, list[object]] = {"type": ["a supported type"]}
    kinds = (
        requests.ResponseBody,
        requests.CompletionBody,
        input_items.ChatMessage,
        input_items.Message,
        requests.OutputExpiry,
        request_options.BackgroundOptions,
        request_options.TextOptionsInput,
        request_options.ReasoningOptions,
        request_options.PromptCacheOptions,
    )
    for kind in kinds:
        for each in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            options = [*getattr(each.type, "types", (each.type,))]
            options += [
                option.item_type
                for option in options
                if isinstance(option, msgspec.inspect.ListType)
            ]
            for option in options:
                if isinstance(option, msgspec.inspect.LiteralType):
                    found[each.encode_name] = list(option.values)
    return found


_CHOICES = _choices()
