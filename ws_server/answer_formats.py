"""Read which form a request wants its answer to have: text, JSON of a schema, or another grammar.

Both protocols say it in their own fields, and `structured_outputs` is an addition of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import BadRequest
from turnstream.turns.shapes import JsonObjectText, JsonSchemaText, PlainText, TextFormat
from turnstream.ws_server import json_schemas, request_options, requests
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.field import wrong

_OBJECT = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that an answer must follow."""

    constraint: Constraint
    #: The field that it was read from.
    param: str
    #: The schema that the constraint was made of, if it is one.
    schema: Mapping[str, Any] | None = None


def of_response(body: requests.ResponseBody) -> Grammar | None:
    """Return the grammar of a response's answer; None: it is plain text.

    Raises:
        BadRequest: a schema is not served, or what is asked for contradicts itself.
    """
    grammar: Grammar | None = None
    match body.text.format if body.text else None:
        case request_options.JsonSchemaFormat(schema=schema):
            grammar = _of_schema(schema, "text.format.schema")
        case request_options.JsonObjectFormat(schema=schema):
            grammar = _of_schema(_OBJECT if schema is None else schema, "text.format")
    return _checked(body, grammar, "text.format", ())


def of_completion(body: requests.CompletionBody, stops: tuple[str, ...]) -> Grammar | None:
    """Return the grammar of a chat completion's answer; None: it is plain text.

    Raises:
        BadRequest: a schema is not served, or what is asked for contradicts itself.
    """
    match body.response_format:
        case request_options.ChatSchemaFormat(json_schema=named):
            schema = {} if named.schema is None else named.schema
            grammar: Grammar | None = _of_schema(schema, "response_format.json_schema.schema")
        case request_options.JsonObjectFormat(schema=stated):
            grammar = _of_schema(_OBJECT if stated is None else stated, "response_format")
        case _:
            grammar = None
    return _checked(body, grammar, "response_format", stops)


def text_of_response(asked: request_options.ResponseFormat | None) -> TextFormat:
    """Return a format as the response repeats it."""
    match asked:
        case request_options.JsonSchemaFormat() as named:
            return _repeated(named)
        case request_options.JsonObjectFormat():
            return JsonObjectText()
        case _:
            return PlainText()


def text_of_completion(asked: request_options.ChatFormat | None) -> TextFormat:
    """Return a chat completion's format in the form that a response has."""
    match asked:
        case request_options.ChatSchemaFormat(json_schema=named):
            return _repeated(named)
        case request_options.JsonObjectFormat():
            return JsonObjectText()
        case _:
            return PlainText()


def _repeated(
    named: request_options.JsonSchemaFormat | request_options.ChatSchema,
) -> JsonSchemaText:
    return JsonSchemaText(
        name=named.name,
        schema={} if named.schema is None else named.schema,
        description=named.description,
        strict=named.strict,
    )


def _of_schema(schema: dict[str, Any], param: str) -> Grammar:
    found = json_schemas.prepared(schema, param)
    return Grammar(Constraint.json_schema(found), param, found)


def _checked(
    body: requests.SharedFields, formatted: Grammar | None, param: str, stops: tuple[str, ...]
) -> Grammar | None:
    """Return the one grammar of a request; refuse what would cut its answer."""
    extra = _of_extra(body.structured_outputs)
    if formatted and extra:
        raise BadRequest(
            f"Send one of '{param}' and 'structured_outputs', not both.",
            code="mutually_exclusive_parameters",
            param="structured_outputs",
        )
    grammar = formatted or extra
    if grammar is None:
        return None
    cutting = {"stop": stops, "ignore_eos": body.ignore_eos, "min_tokens": body.min_tokens}
    for name, value in cutting.items():
        if value:
            raise wrong(name, f"left out beside '{grammar.param}', which decides where it ends")
    return grammar


def _of_extra(asked: request_options.StructuredOutputs | None) -> Grammar | None:
    if asked is None:
        return None
    param = "structured_outputs"
    stated = {
        name: value
        for name in request_options.StructuredOutputs.__struct_fields__
        if (value := getattr(asked, name)) not in (None, False)
    }
    if len(stated) != 1:
        raise wrong(param, "an object with one of json, regex, choice, grammar and json_object")
    [(kind, value)] = stated.items()
    param = f"{param}.{kind}"
    match kind:
        case "json":
            return _of_schema(_read_schema(value, param), param)
        case "json_object":
            return _of_schema(_OBJECT, param)
        case "choice":
            json_schemas.check_size("".join(value), param)
            return Grammar(Constraint.choice(value), param)
        case _:
            json_schemas.check_size(value, param)
            return Grammar(Constraint("regex" if kind == "regex" else "lark", value), param)


def _read_schema(value: dict[str, Any] | str, param: str) -> dict[str, Any]:
    """Return a schema, which vLLM's clients may also send as text."""
    if not isinstance(value, str):
        return value
    try:
        return dict(read_json(value))
    except BadRequest as exc:
        raise wrong(param, "a JSON schema") from exc
