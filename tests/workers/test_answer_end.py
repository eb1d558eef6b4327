"""How an answer ends: once and whole, whoever or whatever ends it."""

import pytest

from tests.workers.answering import STOP, FakeHandle, events, make_answer, taken
from turnstream.turns.errors import ContextLengthExceeded
from turnstream.workers.engine import Finish, FinishReason


def test_the_end_closes_the_answer_and_carries_the_whole_text() -> None:
    answer = make_answer()
    answer.input_tokens = 7
    answer.start(FakeHandle())
    answer.put([3], None)
    answer.take()
    answer.put([4], STOP)

    part = taken(answer)

    types = [event["type"].removeprefix("response.") for event in events(part)]
    assert types == [
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    response = events(part)[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "Hello there"
    assert response["usage"]["total_tokens"] == 7 + 2
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 5
    assert part.final is not None
    assert (part.final.status, part.final.text) == ("completed", "Hello there")


def test_an_answer_that_said_nothing_is_still_whole() -> None:
    answer = make_answer()
    answer.put([], STOP)

    types = [event["type"].removeprefix("response.") for event in events(taken(answer))]

    assert types == [
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize(
    ("finish", "stop", "status", "event"),
    [
        (Finish(FinishReason.LENGTH), False, "incomplete", "response.incomplete"),
        (Finish(FinishReason.CANCELLED), True, "cancelled", "response.incomplete"),
        (Finish(FinishReason.ERROR, "out of luck"), False, "failed", "response.failed"),
    ],
)
def test_every_end_is_one_terminal_event(
    finish: Finish, stop: bool, status: str, event: str
) -> None:
    answer = make_answer()
    if stop:
        answer.stop()
    answer.put([3], finish)

    part = taken(answer)

    assert part.final is not None
    assert part.final.status == status
    assert events(part)[-1]["type"] == event
    assert events(part)[-1]["response"]["status"] == status


def test_a_stop_string_ends_the_answer_before_itself_and_frees_the_row() -> None:
    answer = make_answer(stop=("there",))
    handle = FakeHandle()
    answer.start(handle)
    answer.put([3, 4], None)
    answer.take()
    assert handle.cancelled
    answer.put([5], Finish(FinishReason.CANCELLED))

    part = taken(answer)

    assert part.final is not None
    assert (part.final.status, part.final.text) == ("completed", "Hello ")


def test_what_is_cancelled_without_being_asked_for_ends_in_silence() -> None:
    answer = make_answer()
    answer.put([3], Finish(FinishReason.CANCELLED))

    assert answer.take() is None
    assert answer.dropped


def test_a_request_found_bad_late_ends_with_an_error_event() -> None:
    answer = make_answer()
    answer.refuse(ContextLengthExceeded(9, 8))

    part = taken(answer)

    [event] = events(part)
    assert (event["type"], event["status"], event["sequence_number"]) == ("error", 400, 3)
    assert event["error"]["code"] == "context_length_exceeded"
    assert part.final is not None
    assert part.final.status == "failed"


def test_what_was_given_up_says_nothing_more_and_leaves_the_engine() -> None:
    answer = make_answer()
    handle = FakeHandle()
    answer.start(handle)
    answer.put([3], None)

    answer.drop()

    assert answer.take() is None
    assert handle.cancelled


def test_a_stop_that_comes_before_the_engine_has_the_turn_is_kept() -> None:
    answer = make_answer()
    handle = FakeHandle()

    answer.stop()
    answer.start(handle)

    assert handle.cancelled
