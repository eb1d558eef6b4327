"""Grammars of calls, followed byte by byte: what they allow is read as calls that validate."""

import json
import random
from typing import Any

import jsonschema
import pytest
from llguidance import LLMatcher, LLTokenizer

from tests.effort import examples
from turnstream.prompts.tools import (
    CALL_FORMATS,
    Arguments,
    CallBegun,
    CallEnded,
    Offer,
    Text,
    Tool,
    ToolFormat,
    joined,
)
from turnstream.prompts.tools.grammar import MOST_CALLS, grammar
from turnstream.turns.constraint import Constraint

BYTES = LLTokenizer("byte")
FORMATS = list(ToolFormat)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 6},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER = Tool(name="get_weather", parameters=json.dumps(SCHEMA), strict=True)
NOW = Tool(name="get", strict=True)
CALL = ("get_weather", '{"city": "Rome", "unit": "celsius"}')


def matcher(
    kind: ToolFormat, offer: Offer, said: str | None = None, control: dict[str, int] | None = None
) -> LLMatcher:
    text = grammar(CALL_FORMATS[kind], offer, control_ids=control or {}, said=said)
    assert text is not None
    made = LLMatcher(
        BYTES, LLMatcher.grammar_from_lark(Constraint("lark", text).grammar), log_level=0
    )
    assert not made.get_error()
    return made


def follows(made: LLMatcher, text: str) -> bool:
    """Return whether a text is a whole answer of the grammar."""
    ids = BYTES.tokenize_bytes(text.encode())
    copy = made.deep_copy()
    return bool(copy.try_consume_tokens(ids) == len(ids) and copy.is_accepting())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_required_answer_is_a_call_that_validates(kind: ToolFormat) -> None:
    made = matcher(kind, Offer(tools=(WEATHER, NOW), required=True))
    form = CALL_FORMATS[kind]

    assert follows(made, form.written(CALL))
    assert follows(made, form.written(("get", "{}")))
    for text in (
        "Rome is warm.",
        "",
        f"Well: {form.written(CALL)}",
        f"{form.written(CALL)} and",
        form.written(("get_weather", '{"city": "Rome"}')),
        form.written(("get", '{"city": "Rome"}')),
        form.written(("other", "{}")),
    ):
        assert not follows(made, text)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_answer_is_text_until_a_call_begins_which_must_validate(kind: ToolFormat) -> None:
    made = matcher(kind, Offer(tools=(WEATHER, NOW)))
    form = CALL_FORMATS[kind]
    bad = form.written(("get", '{"a": 1}'))

    for text in ("Rome is warm.", "", "A <tool_, a [TOOL and a < b.\n", form.written(CALL)):
        assert follows(made, text)
    assert not follows(made, bad)
    if not form.syntax.bare:
        assert follows(made, f"I will look.\n{form.written(CALL)}")
        assert not follows(made, f"I will look.\n{bad}")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("required", [True, False])
def test_an_answer_has_as_many_calls_as_it_may(kind: ToolFormat, required: bool) -> None:
    form = CALL_FORMATS[kind]
    one = matcher(kind, Offer(tools=(WEATHER,), required=required, parallel=False))
    several = matcher(kind, Offer(tools=(WEATHER,), required=required))
    most = form.most or MOST_CALLS

    assert not follows(one, form.written(CALL, CALL))
    assert follows(several, form.written(*most * [CALL]))
    assert not follows(several, form.written(*(most + 1) * [CALL]))


@pytest.mark.parametrize("kind", FORMATS)
def test_text_beside_calls_follows_its_own_grammar(kind: ToolFormat) -> None:
    said = Constraint.json_schema(
        {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    )
    made = matcher(kind, Offer(tools=(WEATHER,)), said.grammar)

    assert follows(made, '{"x":1}')
    assert follows(made, CALL_FORMATS[kind].written(CALL))
    assert not follows(made, "x")
    assert not follows(made, '{"y":1}')


def test_an_answer_is_free_if_no_tool_is_strict_and_none_is_required() -> None:
    loose = Tool(name="get_weather", parameters=json.dumps(SCHEMA))

    for form in CALL_FORMATS.values():
        assert grammar(form, Offer(tools=(loose,)), control_ids={}) is None


def test_a_tool_that_is_not_strict_may_have_a_schema_that_cannot_be_held() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "dependencies": {}}
    tool = Tool(name="get", parameters=json.dumps(schema | {"not": {"required": ["b"]}}))
    made = matcher(ToolFormat.HERMES, Offer(tools=(tool,), required=True))

    assert follows(made, CALL_FORMATS[ToolFormat.HERMES].written(("get", '{"a": 1}')))


@pytest.mark.parametrize("required", [[], ["b"], ["a", "c"]])
def test_keywords_may_be_left_out_if_they_are_not_required(required: list[str]) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/n"} for name in "abc"},
        "required": required,
        "additionalProperties": False,
        "$defs": {"n": {"enum": [1]}},
    }
    tool = Tool(name="get", parameters=json.dumps(schema), strict=True)
    made = matcher(ToolFormat.PYTHONIC, Offer(tools=(tool,), required=True))

    for names in ("", "a", "b", "c", "ab", "ac", "bc", "abc"):
        said = json.dumps(dict.fromkeys(names, 1))
        text = CALL_FORMATS[ToolFormat.PYTHONIC].written(("get", said))
        assert follows(made, text) == (set(required) <= set(names))


def test_arguments_that_are_no_plain_list_of_keywords_are_one_object() -> None:
    schema = {"anyOf": [{"type": "object", "properties": {"a b": {"enum": [1]}}}]}
    tool = Tool(name="get", parameters=json.dumps(schema), strict=True)
    made = matcher(ToolFormat.PYTHONIC, Offer(tools=(tool,), required=True))

    assert follows(made, '[get(**{"a b": 1})]')
    assert not follows(made, '[get(**{"a b": 2})]')


def test_a_mark_that_is_a_control_token_is_written_as_its_id() -> None:
    form = CALL_FORMATS[ToolFormat.MISTRAL_ARGS]
    ids = {"[TOOL_CALLS]": 5, "[ARGS]": 32}

    text = grammar(form, Offer(tools=(WEATHER,)), control_ids=ids)

    assert text is not None
    assert "[TOOL_CALLS]" not in text
    assert text.count("<[5]>") == 2  # the first call, and further ones
    assert text.count("<[32]>") == 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("seed", range(examples(3, 100)))
def test_whatever_the_grammar_allows_is_read_as_text_and_calls_that_validate(
    kind: ToolFormat, required: bool, seed: int
) -> None:
    rng = random.Random(seed)
    offer = Offer(tools=(WEATHER, NOW), required=required)
    made = matcher(kind, offer)
    written = b""
    if not required:
        form = CALL_FORMATS[kind]
        written = (form.opening + form.before.partition("NAME")[0]).encode()
        assert made.consume_tokens(BYTES.tokenize_bytes(written))
    while not made.is_accepting() or (not made.is_stopped() and rng.random() < 0.5):
        bits = made.compute_bitmask()
        allowed = [id for id in range(256) if bits[id // 8] >> id % 8 & 1 and id < 0x80]
        if not allowed:
            break
        id = rng.choice(allowed)
        assert made.consume_token(id)
        written += bytes([id])
        assert len(written) < 5_000

    reader = CALL_FORMATS[kind].reader(offer)
    parts = joined([*reader.feed(written.decode()), *reader.finish(cut=not made.is_accepting())])

    assert not any(isinstance(part, Text) for part in parts)
    assert isinstance(parts[0], CallBegun)
    name = ""
    for part in parts:
        match part:
            case CallBegun(each):
                name = each
            case Arguments(text):
                assert CallEnded() in parts
                if name == "get_weather":
                    jsonschema.validate(json.loads(text), SCHEMA)
                else:
                    assert json.loads(text) == {}
