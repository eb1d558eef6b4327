"""A form of the answer becomes one grammar, or an error that names the place in the schema."""

import threading
from typing import Any

import pytest

from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import BadRequest
from turnstream.ws_server import grammar_check, tools
from turnstream.ws_server.answer_formats import Grammar
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import read_create
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.tools import Tools

TEXT: dict[str, Any] = {"type": "string"}
CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": TEXT},
    "required": ["a"],
    "additionalProperties": False,
}


def responses(schema: Any, **fields: Any) -> Grammar:
    asked = {"type": "json_schema", "name": "s", "schema": schema}
    found = read_create({"input": "Hi", "text": {"format": asked}} | fields).grammar
    assert found is not None
    return found


def chat(response_format: Any, **fields: Any) -> Grammar | None:
    messages = [{"role": "user", "content": "Hi"}]
    body = {"messages": messages, "response_format": response_format}
    return read_chat(body | fields).create.grammar


async def refusal(schema: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(BadRequest) as refused:
        await GrammarCheck().check("ann", responses(schema, **fields))
    assert refused.value.code == "invalid_json_schema"
    return refused.value.param or "", refused.value.message


def test_both_protocols_make_the_same_constraint_of_a_schema() -> None:
    nested = chat({"type": "json_schema", "json_schema": {"name": "s", "schema": CLOSED}})

    assert nested is not None
    assert nested.constraint == responses(CLOSED).constraint == Constraint.json_schema(CLOSED)


@pytest.mark.parametrize("table", ["responses", "chat"])
@pytest.mark.parametrize(
    ("asked", "constraint"),
    [
        ({"json": CLOSED}, Constraint.json_schema(CLOSED)),
        ({"json": '{"type": "string"}'}, Constraint.json_schema(TEXT)),
        ({"json_object": True}, Constraint.json_schema({"type": "object"})),
        ({"regex": "a+"}, Constraint("regex", "a+")),
        ({"choice": ["a", "b"]}, Constraint.choice(["a", "b"])),
        ({"grammar": 'start: "a"'}, Constraint("lark", 'start: "a"')),
    ],
)
def test_structured_outputs_have_the_same_meaning_at_both(
    table: str, asked: Any, constraint: Constraint
) -> None:
    if table == "chat":
        found = chat(None, structured_outputs=asked)
    else:
        found = read_create({"input": "Hi", "structured_outputs": asked}).grammar

    assert found is not None
    assert found.constraint == constraint


def test_annotations_and_unknown_formats_do_not_constrain() -> None:
    said = {
        **TEXT,
        "title": "T",
        "description": "d",
        "default": "x",
        "examples": ["y"],
        "format": "colour",
        "x-order": 3,
        "$schema": "http://example.org/mine",
    }

    assert responses({**CLOSED, "properties": {"a": said}}).constraint == (
        responses(CLOSED).constraint
    )


def test_further_properties_are_left_out_where_the_schema_says_nothing_of_them() -> None:
    open_object = {key: value for key, value in CLOSED.items() if key != "additionalProperties"}

    assert responses(open_object).constraint == responses(CLOSED).constraint


def test_objects_that_are_described_in_several_places_are_not_closed() -> None:
    parts = {"allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}
    one = {"properties": {"parts": parts}}

    assert responses(parts).constraint == Constraint.json_schema(parts)
    assert responses(one).constraint == (
        Constraint.json_schema({**one, "additionalProperties": False})
    )


def test_a_union_that_is_told_apart_by_a_tag_is_served() -> None:
    kinds = {
        name: {
            "type": "object",
            "properties": {"kind": {"const": name, "type": "string"}, name: TEXT},
            "required": ["kind", name],
        }
        for name in ("cat", "dog")
    }
    union = {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in kinds], "$defs": kinds}

    assert '"oneOf"' not in responses(union).constraint.text


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "object", "properties": {"a": {"not": TEXT}}}, ".properties.a.not"),
        ({"anyOf": [TEXT, {"type": "array", "uniqueItems": True}]}, ".anyOf[1].uniqueItems"),
        ({"$defs": {"x": {"if": {}}}, "$ref": "#/$defs/x"}, ".$defs.x.if"),
        ({"type": "array", "items": {"type": "objekt"}}, ".items"),
        ({"type": "array", "prefixItems": [TEXT, {"pattern": "(?=a)"}]}, ".prefixItems[1]"),
        ({"type": "object", "properties": {"b": {"properties": []}}}, ".properties.b.properties"),
        ({"type": "object", "properties": {"n": {"$ref": "#/$defs/no"}}}, ".properties.n"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, ""),
        ({"type": "object", "minProperties": 2}, ".minProperties"),
        ({"$ref": "http://example.org/schema"}, ""),
        ({"properties": {"a": {"oneOf": [TEXT, {"maxLength": 3}]}}}, ".properties.a"),
        ({"type": "string", "maxLenght": 3}, ".maxLenght"),
        ({"enum": ["x" * 140_000]}, ""),
        ({"type": "number", "exclusiveMinimum": True}, ".exclusiveMinimum"),
    ],
)
async def test_a_schema_that_is_not_served_is_refused_with_its_path(schema: Any, path: str) -> None:
    param, message = await refusal(schema)

    assert param == f"text.format.schema{path}"
    assert param in message


async def test_the_path_is_in_the_words_of_each_protocol() -> None:
    wrong = {"type": "object", "properties": {"a": {"not": {}}}}
    with pytest.raises(BadRequest) as refused:
        chat({"type": "json_schema", "json_schema": {"name": "s", "schema": wrong}})
    assert refused.value.param == "response_format.json_schema.schema.properties.a.not"
    with pytest.raises(BadRequest) as refused:
        chat(None, structured_outputs={"json": wrong})
    assert refused.value.param == "structured_outputs.json.properties.a.not"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"regex": "(a"}, "structured_outputs.regex"),
        ({"grammar": "a"}, "structured_outputs.grammar"),
    ],
)
async def test_a_grammar_that_does_not_compile_is_refused(asked: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await GrammarCheck().check("ann", chat(None, structured_outputs=asked))

    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ["}"]}, "stop"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"min_tokens": 3}, "min_tokens"),
        ({"structured_outputs": {"regex": "a"}}, "structured_outputs"),
    ],
)
def test_what_would_cut_an_answer_is_refused_by_name(fields: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat({"type": "json_object"}, **fields)

    assert refused.value.param == param


@pytest.mark.parametrize("asked", [{}, {"regex": "a", "choice": ["b"]}, {"json": "["}])
def test_structured_outputs_have_exactly_one_meaning(asked: Any) -> None:
    with pytest.raises(BadRequest, match="structured_outputs"):
        chat(None, structured_outputs=asked)


async def test_a_grammar_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    check = GrammarCheck()
    compiled = check._wrong
    monkeypatch.setattr(
        check,
        "_wrong",
        lambda grammar: (threads.append(threading.current_thread().name), compiled(grammar))[1],
    )
    for _ in range(3):
        await check.check("ann", responses(CLOSED))

    assert len(threads) == 1
    assert threads[0].startswith("grammar")


async def test_a_schema_that_takes_too_long_is_refused_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammar_check, "SECONDS", 0.05)
    # Compiling this takes a second or more.
    param, message = await refusal({"type": "integer", "multipleOf": 99_991})

    assert param == "text.format.schema"
    assert "seconds to compile" in message


def tool(parameters: dict[str, Any], choice: Any = "required", *, strict: bool = False) -> Tools:
    described = {"type": "function", "name": "f", "parameters": parameters, "strict": strict}
    return tools.read([described], choice, ["tools[0]"])


def test_a_tool_that_is_not_strict_gets_no_properties_that_it_does_not_name() -> None:
    [named] = tool({"type": "object", "properties": {"a": {}}, "not": {}}).tools
    [nothing] = tool({"type": "object", "properties": {}}).tools
    [anything] = tool({"type": "object"}).tools

    assert '"additionalProperties": false' in str(named.parameters)
    assert '"not": {}' in str(named.parameters)
    assert '"additionalProperties": false' in str(nothing.parameters)
    assert anything.parameters == '{"type": "object"}'


@pytest.mark.parametrize("strict", [True, False])
async def test_a_schema_of_a_tool_that_calls_are_held_to_must_compile(strict: bool) -> None:
    broken = {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}
    if not strict:
        assert tool(broken, "auto").grammars == ()
        assert tool(broken, "none").grammars == ()

    with pytest.raises(BadRequest) as refused:
        await GrammarCheck().check("ann", *tool(broken, strict=strict).grammars)

    assert refused.value.param == "tools[0].parameters.properties.a"


@pytest.mark.parametrize("strict", [True, False])
async def test_names_of_required_properties_that_are_no_texts_are_refused(strict: bool) -> None:
    wrong = {"type": "object", "properties": {"a": {}}, "required": [["a"]]}

    with pytest.raises(BadRequest, match="required"):
        await GrammarCheck().check("ann", *tool(wrong, strict=strict).grammars)
