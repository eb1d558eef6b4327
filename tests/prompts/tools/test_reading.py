"""Calls are read the same however their text was cut, and nothing of a mark is shown as text."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.effort import examples
from turnstream.prompts.tools import (
    CALL_FORMATS,
    Arguments,
    CallBegun,
    CallEnded,
    Offer,
    Part,
    Text,
    Tool,
    ToolFormat,
    joined,
)

OFFER = Offer(tools=(Tool(name="add"), Tool(name="add_all")))
FORMATS = list(ToolFormat)
ARGUMENTS = '{"a": "}\\"{", "b": [1, {"c": null}]}'


def read(kind: ToolFormat, pieces: Iterable[str], *, cut: bool | None = None) -> list[Part]:
    """Read an answer; None: it goes on."""
    reader = CALL_FORMATS[kind].reader(OFFER)
    parts = [part for piece in pieces for part in reader.feed(piece)]
    return joined(parts if cut is None else [*parts, *reader.finish(cut=cut)])


def call(name: str, arguments: str) -> list[Part]:
    return [CallBegun(name), Arguments(arguments), CallEnded()]


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_reads_the_calls_that_it_writes(kind: ToolFormat) -> None:
    form = CALL_FORMATS[kind]

    assert read(kind, [form.written(("add", "{}"))], cut=False) == call("add", "{}")
    if form.most is None:
        two = form.written(("add_all", ARGUMENTS), ("add", '{"a": 1}'))
        mark = "<|python_start|>" if kind is ToolFormat.PYTHONIC else ""
        assert read(kind, [f"Wait.\n\n{mark}{two}"], cut=False) == [
            Text("Wait."),
            *call("add_all", ARGUMENTS),
            *call("add", '{"a": 1}'),
        ]


PIECES = st.sampled_from(
    [
        *(
            "<tool_call>",
            "</tool_call>",
            "<tool_",
            "[TOOL_CALLS]",
            "[TOOL",
            "[ARGS]",
            "[CALL_ID]",
            "[",
            "]",
        ),
        *(
            "<|python_tag|>",
            "<|python_start|>",
            "add(",
            "a=",
            "b = ",
            ")",
            "'x\"'",
            "True",
            "(1, 2)",
            "**",
        ),
        *("<|python_tag|>", "{", "}", '{"name": "add', '"', ", ", '"arguments": ', "\n", " ", ";"),
        *('{"name": "add", "arguments": ', '{"name": "add_all", "parameters": {}}', "add", "null"),
        *('"parameters": ' + ARGUMENTS, ARGUMENTS, '"a{\\"}"', "hello", "😀", "<", "\\", "}\\"),
    ]
)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=examples(40, 5_000), deadline=None)
@given(pieces=st.lists(PIECES, max_size=12))
def test_the_parts_of_any_text_are_the_same_wherever_it_is_cut(
    kind: ToolFormat, pieces: list[str]
) -> None:
    text = "".join(pieces)
    by_character = CALL_FORMATS[kind].reader(OFFER)
    said: list[Part] = []
    for at, character in enumerate(text, start=1):
        said += by_character.feed(character)
        # So another worker that reads the text again is at the same place.
        assert joined(said) == read(kind, [text[:at]])
    assert joined([*said, *by_character.finish(cut=False)]) == read(kind, [text], cut=False)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=examples(60, 2_000), deadline=None)
@given(pieces=st.lists(PIECES, max_size=8))
def test_a_text_without_calls_is_shown_whole(kind: ToolFormat, pieces: list[str]) -> None:
    text = "".join(pieces)
    parts = read(kind, [text], cut=False)

    if not any(isinstance(part, CallBegun) for part in parts):
        assert parts == ([Text(text)] if text else [])


@pytest.mark.parametrize("kind", FORMATS)
def test_no_half_of_a_mark_is_shown_before_it_is_known_what_it_becomes(kind: ToolFormat) -> None:
    form = CALL_FORMATS[kind]
    text = form.written(("add", ARGUMENTS))
    if kind is ToolFormat.PYTHONIC:
        text = text.replace("(", "(**").replace(text[text.index("(") + 1 : -2], ARGUMENTS)
    begin = text.index(ARGUMENTS)

    for at in range(begin):
        assert read(kind, [text[:at]]) == []
        assert read(kind, [text[:at]], cut=True) == []
    assert read(kind, [text[: begin + 5]], cut=True) == [
        CallBegun("add"),
        Arguments(ARGUMENTS[:5]),
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ToolFormat.HERMES, '<tool_call>\n{"name": "other", "arguments": {}}\n</tool_call>'),
        (ToolFormat.HERMES, "<tool_call>\nI call nothing.\n</tool_call>"),
        (ToolFormat.LLAMA_3, '{"name": "Ann", "age": 3}'),
        (ToolFormat.LLAMA_3, 'Like this: {"name": "add", "parameters": {}}'),
        (ToolFormat.MISTRAL, "[TOOL_CALLS] other{}"),
        (ToolFormat.MISTRAL_CALL_ID, "[TOOL_CALLS]add[CALL_ID]what is this{}"),
        (ToolFormat.PYTHONIC, "[other(a=1)]"),
        (ToolFormat.PYTHONIC, "[add (see below)]"),
        (ToolFormat.PYTHONIC, "I would call [add(a=1)]."),
        (ToolFormat.PYTHONIC, "[1, 2]"),
    ],
)
def test_what_names_no_tool_is_text(kind: ToolFormat, text: str) -> None:
    assert read(kind, text, cut=False) == [Text(text)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ToolFormat.HERMES, '<tool_call>{"arguments": {"a": 1}, "name": "add"}'),
        (ToolFormat.HERMES, '<tool_call> {"id": 7, "name":"add","arguments":"{\\"a\\": 1}" }'),
        (ToolFormat.LLAMA_3, '<|python_tag|>{"name": "add", "parameters": {"a": 1}}'),
        (ToolFormat.LLAMA_3, '\n{"name": "add", "arguments": {"a": 1}}'),
        (ToolFormat.MISTRAL, '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}, "id": "x"}]'),
        (ToolFormat.MISTRAL_ARGS, '[TOOL_CALLS]add{"a": 1}'),
        (ToolFormat.MISTRAL_CALL_ID, '[TOOL_CALLS]add[CALL_ID]a1b2c3d4e[ARGS]{"a": 1}'),
        (ToolFormat.MISTRAL_CALL_ID, '[TOOL_CALLS]add[ARGS]{"a": 1}'),
        (ToolFormat.PYTHONIC, "<|python_start|>[add(a=1)]<|python_end|>"),
        (ToolFormat.PYTHONIC, '[add(**{"a": 1})]'),
        (ToolFormat.PYTHONIC, "[ add( a = 1) ]"),
    ],
)
def test_what_models_write_instead_is_read_as_well(kind: ToolFormat, text: str) -> None:
    assert read(kind, text, cut=False) == call("add", '{"a": 1}')


def test_what_follows_a_call_is_not_part_of_the_answer() -> None:
    reader = CALL_FORMATS[ToolFormat.HERMES].reader(OFFER)
    text = CALL_FORMATS[ToolFormat.HERMES].written(("add", "{}"))

    assert joined(reader.feed(text + "\nIt returned 7.")) == call("add", "{}")
    assert reader.ended


def test_the_first_of_parallel_calls_is_the_last_where_there_may_be_one_only() -> None:
    form = CALL_FORMATS[ToolFormat.HERMES]
    reader = form.reader(Offer(tools=OFFER.tools, parallel=False))
    two = form.written(("add", "{}"), ("add_all", "{}"))

    assert joined(reader.feed(two)) == call("add", "{}")
    assert reader.ended


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'it\\'s \"so\"'", 'it\'s "so"'),
        ('"a\\tb\\x41\\u00e9\\U0001F600\\q"', "a\tbA\u00e9\U0001f600\\q"),
        ("[True, None, (1, 2.5), {'k': False}]", [True, None, [1, 2.5], {"k": False}]),
        ("true", True),
        ("-1e3", -1000),
        ("'two\nlines, )]'", "two\nlines, )]"),
    ],
)
def test_values_in_python_are_json_for_the_client(written: str, value: object) -> None:
    [_, arguments, _] = read(ToolFormat.PYTHONIC, f"[add(a={written}, b=1)]", cut=False)

    assert isinstance(arguments, Arguments)
    assert json.loads(arguments.text) == {"a": value, "b": 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@settings(max_examples=examples(25, 2_000), deadline=None)
@given(value=VALUES)
def test_any_value_as_python_writes_it_is_the_same_in_json(value: object) -> None:
    assume("inf" not in repr(value))
    [_, arguments, _] = read(ToolFormat.PYTHONIC, f"[add(a={value!r})]", cut=False)

    assert isinstance(arguments, Arguments)
    assert json.loads(arguments.text)["a"] == json.loads(json.dumps(value))
