"""What an attempt writes of what its engine says, and what it leaves to another attempt."""

import pytest

from tests.workers.answering import ID, STOP, FakeHandle, events, make_answer, taken
from turnstream.turns.log import Final, Requeued
from turnstream.workers.engine import Finish, FinishReason


def test_the_first_slice_opens_the_answer_and_goes_on_from_the_log() -> None:
    answer = make_answer()
    answer.put([3], None)

    part = taken(answer)

    assert (part.id, part.attempt, part.first) == (ID, 1, 3)
    types = [event["type"].removeprefix("response.") for event in events(part)]
    assert types == ["output_item.added", "content_part.added", "output_text.delta"]
    assert [event["sequence_number"] for event in events(part)] == [3, 4, 5]
    assert events(part)[-1]["delta"] == "Hello"
    assert part.entries[-1].ids == (3,)


def test_first_words_and_the_end_are_written_at_once_and_what_is_between_may_gather() -> None:
    answer = make_answer()
    assert answer.put([3], None)
    taken(answer)
    assert not answer.put([4], None)
    assert answer.put([5], STOP)


def test_an_answer_whose_first_token_shows_nothing_is_still_in_a_hurry() -> None:
    answer = make_answer()
    assert answer.put([6], None)
    assert answer.take() is None
    assert answer.put([7], None)


def test_a_turn_that_nobody_reads_is_written_seldom_and_whole_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    answer = make_answer(unread=True)
    assert not answer.put([3], None)
    assert answer.take() is None

    monkeypatch.setattr("time.monotonic", lambda: 100.25)
    assert not answer.put([3], None)
    assert taken(answer).entries[-1].ids == (3, 3)

    assert not answer.put([3], None)
    assert answer.take() is None
    assert answer.put([], Finish(FinishReason.STOP))
    end = taken(answer)
    assert end.final is not None
    assert [entry.ids for entry in end.entries if entry.ids] == [(3,)]


def test_turns_that_nobody_reads_are_written_at_the_same_moments_whenever_they_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = []
    for began in (100.01, 100.1, 100.2):
        monkeypatch.setattr("time.monotonic", lambda began=began: began)
        answers.append(make_answer(unread=True))

    for answer in answers:
        answer.put([3], None)
    monkeypatch.setattr("time.monotonic", lambda: 100.24)
    assert [answer.take() for answer in answers] == [None] * 3
    monkeypatch.setattr("time.monotonic", lambda: 100.26)
    assert [taken(answer).entries[-1].ids for answer in answers] == [(3,)] * 3


def test_a_stop_string_is_seen_at_once_though_nobody_reads() -> None:
    answer = make_answer(unread=True, stop=("x",))
    answer.put([3], None)

    assert taken(answer).entries[-1].ids == (3,)


def test_a_turn_with_nothing_to_show_says_from_time_to_time_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = make_answer()
    answer.put([6], None)
    assert answer.take() is None
    monkeypatch.setattr("turnstream.workers.answer.IN_PROGRESS_SECONDS", 0.0)

    part = taken(answer)

    [event] = events(part)
    assert (event["type"], event["sequence_number"]) == ("response.in_progress", 3)
    assert event["response"]["status"] == "in_progress"
    monkeypatch.undo()
    answer.put([7, 8, 9], None)
    assert [event["sequence_number"] for event in events(taken(answer))] == [4, 5, 6]


def test_what_gathered_is_one_slice() -> None:
    answer = make_answer()
    answer.put([3], None)
    answer.put([4], None)
    answer.put([5], None)

    part = taken(answer)

    assert events(part)[-1]["delta"] == "Hello there!"
    assert part.entries[-1].ids == (3, 4, 5)


def test_half_a_character_is_neither_shown_nor_are_its_ids_logged() -> None:
    answer = make_answer()
    answer.put([3], None)
    answer.take()
    answer.put([6, 7, 8], None)
    assert answer.take() is None
    answer.put([9], None)

    part = taken(answer)

    assert events(part)[-1]["delta"] == "😀"
    assert part.entries[-1].ids == (6, 7, 8, 9)


def test_another_attempt_goes_on_without_opening_again_and_ends_with_all_the_text() -> None:
    answer = make_answer(attempt=2, seq=5, ids=(3, 4))
    answer.put([5], STOP)

    part = taken(answer)

    assert (part.attempt, part.first) == (2, 6)
    assert events(part)[0]["type"] == "response.output_text.delta"
    assert events(part)[0]["delta"] == "!"
    response = events(part)[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "Hello there!"
    assert response["usage"]["output_tokens"] == 3


def test_a_turn_that_gives_way_says_what_it_has_and_keeps_back_what_it_held_back() -> None:
    answer = make_answer(stop=("there now",))
    answer.start(FakeHandle())
    answer.put([3, 4], None)
    assert events(taken(answer))[-1]["delta"] == "Hello "
    answer.put([6, 7], None)
    answer.preempt()
    answer.put((), Finish(FinishReason.CANCELLED))

    part = taken(answer)

    assert (part.entries, part.final) == ((), Requeued())
    assert answer.take() is None
    # Its slot is free when the turn is in line again.
    assert not answer.finished


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH])
def test_a_turn_that_ended_before_it_could_give_way_has_ended(reason: FinishReason) -> None:
    answer = make_answer()
    answer.preempt()
    answer.put([3], Finish(reason))

    assert isinstance(taken(answer).final, Final)
    assert answer.finished


def test_a_turn_that_is_stopped_while_it_gives_way_is_stopped() -> None:
    answer = make_answer()
    answer.preempt()
    answer.stop()
    answer.put([3], Finish(FinishReason.CANCELLED))

    final = taken(answer).final
    assert isinstance(final, Final)
    assert final.status == "cancelled"


@pytest.mark.parametrize("early", [True, False])
def test_the_row_of_a_turn_that_was_lost_while_it_gave_way_is_free(early: bool) -> None:
    answer = make_answer()
    answer.preempt()
    if early:
        answer.drop()
    answer.put([3], Finish(FinishReason.CANCELLED))
    answer.drop()

    assert answer.take() is None
    assert answer.finished
