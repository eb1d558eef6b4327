"""The slices of an attempt, and what it leaves to the next one."""

import pytest

from tests.workers.attempts import (
    CANCELLED,
    ID,
    STOP,
    Calls,
    FakeHandle,
    events,
    make_attempt,
    taken,
)
from turnstream.turns.log import Final, Requeued
from turnstream.workers.engine import Finish, FinishReason


def test_the_first_slice_opens_the_item_and_continues_the_numbers_of_the_log() -> None:
    attempt = make_attempt()
    attempt.on_step([3], None)

    part = taken(attempt)

    assert (part.id, part.attempt, part.first) == (ID, 1, 3)
    types = [event["type"].removeprefix("response.") for event in events(part)]
    assert types == ["output_item.added", "content_part.added", "output_text.delta"]
    assert [event["sequence_number"] for event in events(part)] == [3, 4, 5]
    assert events(part)[-1]["delta"] == "Hello"
    assert part.entries[-1].token_ids == (3,)


def test_the_first_text_and_the_end_are_written_at_once_and_text_in_between_gathers() -> None:
    calls = Calls()
    attempt = make_attempt(calls=calls)
    attempt.on_step([3], None)
    assert calls.writes == 1
    taken(attempt)
    attempt.on_step([4], None)
    assert calls.writes == 1
    attempt.on_step([5], STOP)
    assert calls.writes == 2


def test_each_step_is_written_at_once_until_there_is_text() -> None:
    calls = Calls()
    attempt = make_attempt(calls=calls)
    attempt.on_step([6], None)
    assert attempt.take() is None
    attempt.on_step([7], None)
    assert calls.writes == 2


def test_an_unread_turn_is_written_at_intervals_and_whole_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    calls = Calls()
    attempt = make_attempt(unread=True, calls=calls)
    attempt.on_step([3], None)
    assert attempt.take() is None

    monkeypatch.setattr("time.monotonic", lambda: 100.25)
    attempt.on_step([3], None)
    assert taken(attempt).entries[-1].token_ids == (3, 3)

    attempt.on_step([3], None)
    assert attempt.take() is None
    assert calls.writes == 0
    attempt.on_step([], STOP)
    assert calls.writes == 1
    end = taken(attempt)
    assert end.final is not None
    assert [entry.token_ids for entry in end.entries if entry.token_ids] == [(3,)]


def test_unread_turns_are_written_at_the_same_moments_whenever_they_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []
    for began in (100.01, 100.1, 100.2):
        monkeypatch.setattr("time.monotonic", lambda began=began: began)
        attempts.append(make_attempt(unread=True))

    for attempt in attempts:
        attempt.on_step([3], None)
    monkeypatch.setattr("time.monotonic", lambda: 100.24)
    assert [attempt.take() for attempt in attempts] == [None] * 3
    monkeypatch.setattr("time.monotonic", lambda: 100.26)
    assert [taken(attempt).entries[-1].token_ids for attempt in attempts] == [(3,)] * 3


def test_an_unread_turn_with_stop_strings_is_written_without_waiting() -> None:
    attempt = make_attempt(unread=True, stop=("x",))
    attempt.on_step([3], None)

    assert taken(attempt).entries[-1].token_ids == (3,)


def test_a_turn_without_new_text_sends_in_progress_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempt = make_attempt()
    attempt.on_step([6], None)
    assert attempt.take() is None
    monkeypatch.setattr("turnstream.workers.answer_events.IN_PROGRESS_SECONDS", 0.0)

    part = taken(attempt)

    [event] = events(part)
    assert (event["type"], event["sequence_number"]) == ("response.in_progress", 3)
    assert event["response"]["status"] == "in_progress"
    monkeypatch.undo()
    attempt.on_step([7, 8, 9], None)
    assert [event["sequence_number"] for event in events(taken(attempt))] == [4, 5, 6]


def test_the_ids_of_several_steps_make_one_slice() -> None:
    attempt = make_attempt()
    attempt.on_step([3], None)
    attempt.on_step([4], None)
    attempt.on_step([5], None)

    part = taken(attempt)

    assert events(part)[-1]["delta"] == "Hello there!"
    assert part.entries[-1].token_ids == (3, 4, 5)


def test_half_a_character_is_neither_shown_nor_logged() -> None:
    attempt = make_attempt()
    attempt.on_step([3], None)
    attempt.take()
    attempt.on_step([6, 7, 8], None)
    assert attempt.take() is None
    attempt.on_step([9], None)

    part = taken(attempt)

    assert events(part)[-1]["delta"] == "😀"
    assert part.entries[-1].token_ids == (6, 7, 8, 9)


def test_a_later_attempt_does_not_open_the_item_again_and_ends_with_all_the_text() -> None:
    attempt = make_attempt(attempt=2, seq=5, ids=(3, 4))
    attempt.on_step([5], STOP)

    part = taken(attempt)

    assert (part.attempt, part.first) == (2, 6)
    assert events(part)[0]["type"] == "response.output_text.delta"
    assert events(part)[0]["delta"] == "!"
    response = events(part)[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "Hello there!"
    assert response["usage"]["output_tokens"] == 3


def test_a_preempted_turn_writes_its_text_without_what_the_slicer_holds_back() -> None:
    attempt = make_attempt(stop=("there now",))
    attempt.start(FakeHandle())
    attempt.on_step([3, 4], None)
    assert events(taken(attempt))[-1]["delta"] == "Hello "
    attempt.on_step([6, 7], None)
    attempt.preempt()
    attempt.on_step((), CANCELLED)

    part = taken(attempt)

    assert (part.entries, part.final) == ((), Requeued())
    assert attempt.take() is None
    # The slot is pending until the requeue is written, or it would be assigned twice.
    assert not attempt.slot_free
    attempt.written()
    assert attempt.slot_free


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH])
def test_a_turn_that_finishes_before_it_is_preempted_ends(reason: FinishReason) -> None:
    attempt = make_attempt()
    attempt.preempt()
    attempt.on_step([3], Finish(reason))

    assert isinstance(taken(attempt).final, Final)
    assert attempt.slot_free


def test_a_turn_that_is_cancelled_while_it_is_preempted_ends_as_cancelled() -> None:
    attempt = make_attempt()
    attempt.preempt()
    attempt.cancel()
    attempt.on_step([3], CANCELLED)

    final = taken(attempt).final
    assert isinstance(final, Final)
    assert final.status == "cancelled"


@pytest.mark.parametrize("early", [True, False])
def test_the_slot_of_a_preempted_turn_whose_lease_is_lost_is_free(early: bool) -> None:
    attempt = make_attempt()
    attempt.preempt()
    if early:
        attempt.drop()
    attempt.on_step([3], CANCELLED)
    attempt.drop()

    assert attempt.take() is None
    assert attempt.slot_free
