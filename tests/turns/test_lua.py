"""A script's text has the keys of `turns.keys` and only the functions that it uses."""

import re
from pathlib import Path

import pytest

from turnstream.turns import lua
from turnstream.turns.lua_keys import with_keys

SCRIPTS = sorted(path.stem for path in (Path(lua.__file__).parent / "lua_scripts").glob("*.lua"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_function_that_it_does_not_call(name: str) -> None:
    text = re.sub(r"--.*", "", lua.source(name))
    made = re.findall(r"^local function (\w+)", text, re.MULTILINE)
    # Of a file that is only included, nothing calls the functions.
    assert [each for each in made if len(re.findall(rf"\b{each}\b", text)) < 2] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_key_function_is_left_in_a_script(name: str) -> None:
    assert re.findall(r"\w+_key\(", lua.source(name)) == []


def test_a_key_is_written_out_with_its_prefix_and_arguments() -> None:
    written = with_keys("redis.call('HGET', queue_key(record.model, best(tiers, 1)), 'x')", "p:")

    key = "('p:ts:queue:' .. (record.model) .. ':' .. (best(tiers, 1)))"
    assert written == f"redis.call('HGET', {key}, 'x')"


def test_keys_may_be_arguments_of_keys() -> None:
    assert with_keys("log_key(turn_key(id))", "") == "('ts:log:' .. (('ts:turn:' .. (id))))"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("turn_key()", "turn_key takes 1 arguments, not 0"),
        ("queue_key(model)", "queue_key takes 2 arguments, not 1"),
        ("nothing_key(a)", "nothing"),
        ("turn_key(id", "a call is not closed"),
    ],
)
def test_a_wrong_call_of_a_key_is_named(call: str, problem: str) -> None:
    with pytest.raises((KeyError, ValueError), match=problem):
        with_keys(call, "")
