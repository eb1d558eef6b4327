"""The end of an attempt: one terminal event, with the whole text, for every cause."""

import pytest

from tests.workers.attempts import CANCELLED, STOP, Calls, FakeHandle, events, make_attempt, taken
from turnstream.turns.errors import ContextLengthExceeded
from turnstream.workers.engine import Finish, FinishReason


def test_the_end_closes_the_item_and_carries_the_whole_text() -> None:
    attempt = make_attempt(input_tokens=7)
    attempt.start(FakeHandle())
    attempt.on_step([3], None)
    attempt.take()
    attempt.on_step([4], STOP)

    part = taken(attempt)

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


def test_an_empty_answer_has_all_its_events() -> None:
    attempt = make_attempt()
    attempt.on_step([], STOP)

    types = [event["type"].removeprefix("response.") for event in events(taken(attempt))]

    assert types == [
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize(
    ("finish", "cancel", "status", "event"),
    [
        (Finish(FinishReason.LENGTH), False, "incomplete", "response.incomplete"),
        (CANCELLED, True, "cancelled", "response.incomplete"),
        (Finish(FinishReason.ERROR, "out of memory"), False, "failed", "response.failed"),
    ],
)
def test_each_finish_makes_one_terminal_event(
    finish: Finish, cancel: bool, status: str, event: str
) -> None:
    attempt = make_attempt()
    if cancel:
        attempt.cancel()
    attempt.on_step([3], finish)

    part = taken(attempt)

    assert part.final is not None
    assert part.final.status == status
    assert events(part)[-1]["type"] == event
    assert events(part)[-1]["response"]["status"] == status


def test_a_stop_string_ends_the_text_before_itself_and_cancels_the_engine() -> None:
    attempt = make_attempt(stop=("there",))
    handle = FakeHandle()
    attempt.start(handle)
    attempt.on_step([3, 4], None)
    attempt.take()
    assert handle.cancelled
    attempt.on_step([5], CANCELLED)

    part = taken(attempt)

    assert part.final is not None
    assert (part.final.status, part.final.text) == ("completed", "Hello ")


def test_a_turn_that_a_stopping_engine_cancels_writes_no_end() -> None:
    attempt = make_attempt()
    attempt.on_step([3], CANCELLED)

    assert attempt.take() is None
    assert attempt.dropped


def test_a_refused_request_ends_with_an_error_event() -> None:
    attempt = make_attempt()
    attempt.refuse(ContextLengthExceeded(9, 8))

    part = taken(attempt)

    [event] = events(part)
    assert (event["type"], event["status"], event["sequence_number"]) == ("error", 400, 3)
    assert event["error"]["code"] == "context_length_exceeded"
    assert part.final is not None
    assert part.final.status == "failed"


def test_a_dropped_turn_writes_nothing_more_and_is_cancelled_in_the_engine() -> None:
    attempt = make_attempt()
    handle = FakeHandle()
    attempt.start(handle)
    attempt.on_step([3], None)

    attempt.drop()

    assert attempt.take() is None
    assert handle.cancelled


def test_a_cancel_before_the_engine_has_the_turn_is_carried_out_later() -> None:
    attempt = make_attempt()
    handle = FakeHandle()

    attempt.cancel()
    attempt.start(handle)

    assert handle.cancelled


def test_a_turn_of_an_engine_that_died_is_left_to_another_worker() -> None:
    calls = Calls()
    calls.healthy = False
    attempt = make_attempt(calls=calls)
    attempt.start(FakeHandle())

    attempt.on_step([3], Finish(FinishReason.ERROR, "out of memory"))

    assert attempt.dropped
    assert attempt.slot_free
    assert attempt.take() is None


def test_the_end_is_taken_once() -> None:
    attempt = make_attempt()
    attempt.on_step([3], STOP)

    assert taken(attempt).final is not None
    assert attempt.take() is None
