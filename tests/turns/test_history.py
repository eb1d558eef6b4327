"""The items of a turn, in its record and in the conversation that it continues."""

from dataclasses import replace

import pytest

from tests.turns.conftest import MakeTurn
from turnstream.turns.history import conversation
from turnstream.turns.turn import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    items_from_json,
    items_to_json,
)

CALL = FunctionCall(call_id="c1", name="weather", arguments="{", id="fc_1", status="incomplete")
OUTPUT = FunctionCallOutput(call_id="c1", output="dry 😀")
SYSTEM, QUESTION = Message("system", "Be kind."), Message("user", "Rain?")
REPLY = Message("assistant", "Once upon")


def test_items_are_read_from_the_record_as_they_were_written() -> None:
    items = (SYSTEM, QUESTION, CALL, OUTPUT, Message("assistant", ""))

    assert items_from_json(items_to_json(items)) == items
    assert items_to_json((QUESTION,)) == '[["user","Rain?"]]'


def test_an_item_of_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="dance"):
        items_from_json('[{"type": "dance"}]')


def history(*turns: tuple[tuple[Item, ...], str], calls: str = "") -> list[str]:
    """Return the turns as Redis does; the last one called these tools."""
    texts: list[str] = []
    for items, output in reversed(turns):
        texts += (items_to_json(items), output, "", "" if texts else calls)
    return texts


def test_an_answer_is_a_reply_of_its_own() -> None:
    before = history(((SYSTEM, QUESTION), "Yes."), ((CALL, OUTPUT), "Dry."))

    assert conversation(before, items_to_json((QUESTION,))) == (
        *(SYSTEM, QUESTION, Message("assistant", "Yes.")),
        *(CALL, OUTPUT, Message("assistant", "Dry.")),
        QUESTION,
    )


def test_what_goes_on_from_a_reply_is_added_to_it() -> None:
    before = history(((QUESTION, REPLY, SYSTEM), " a time"), ((), "."), ((), ""))

    assert conversation(before, "[]") == (
        QUESTION,
        Message("assistant", "Once upon a time."),
        SYSTEM,
    )


def test_a_turn_without_answer_leaves_no_reply() -> None:
    assert conversation(history(((QUESTION,), "")), "[]") == (QUESTION,)


@pytest.mark.parametrize(("text", "said"), [("", ()), ("Wait.", (Message("assistant", "Wait."),))])
def test_the_calls_of_an_answer_follow_its_text(text: str, said: tuple[Item, ...]) -> None:
    before = history(((SYSTEM,), "Hi."), ((QUESTION,), text), calls=items_to_json([CALL]))

    assert conversation(before, items_to_json([OUTPUT])) == (
        *(SYSTEM, Message("assistant", "Hi."), QUESTION),
        *said,
        *(CALL, OUTPUT),
    )


@pytest.mark.parametrize(
    ("items", "asks"),
    [
        ((QUESTION,), True),
        ((QUESTION, SYSTEM), True),
        ((QUESTION, REPLY), True),
        ((QUESTION, Message("assistant", " ")), True),
        ((CALL, OUTPUT), True),
        ((SYSTEM,), True),
        ((QUESTION, CALL), False),
        ((Message("assistant", ""),), False),
        ((), False),
    ],
)
def test_a_turn_can_be_answered_unless_it_says_nothing_or_ends_in_a_call(
    make_turn: MakeTurn, items: tuple[Item, ...], asks: bool
) -> None:
    assert replace(make_turn(), input=items).asks is asks


def test_instructions_ask_for_an_answer_but_not_in_a_warm_up(make_turn: MakeTurn) -> None:
    turn = make_turn()
    turn = replace(turn, input=(), request=replace(turn.request, instructions="Greet."))

    assert turn.asks
    assert not replace(turn, generate=False).asks
