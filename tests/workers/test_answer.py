"""What an attempt writes of what its engine says."""

import json
from typing import Any

import pytest

from turns.errors import ContextLengthExceeded
from turns.log import Append, Final, HandedOn
from turns.turn import Claimed, Message, Request
from workers.answer import Answer
from workers.byte_table import ByteTable
from workers.engine import Finish, FinishReason
from workers.slicer import Slicer

ID = "resp_" + 32 * "a"
#: Ids 3, 4 and 5 are text; 6 to 9 are the four bytes of an emoji.
TOKENS = ["<unk>", "<s>", "</s>", "▁Hello", "▁there", "!", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
STOP = Finish(FinishReason.STOP)


class FakeHandle:
    cached_tokens = 5
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def make_answer(
    *,
    attempt: int = 1,
    seq: int = 2,
    ids: tuple[int, ...] = (),
    stop: tuple[str, ...] = (),
    unread: bool = False,
) -> Answer:
    request = Request(
        instructions=None, max_output_tokens=None, temperature=0, top_p=1, seed=0, stop=stop
    )
    claimed = Claimed(
        id=ID,
        attempt=attempt,
        seq=seq,
        request=request,
        messages=(Message("user", "Hi"),),
        rest=f'"id":"{ID}","output":[],"usage":null}}',
        ids=ids,
        unread=unread,
    )
    return Answer(claimed, Slicer(ByteTable.from_tokens(TOKENS, {0, 1, 2}), stop=stop))


def taken(answer: Answer) -> Append:
    part = answer.take()
    assert part is not None
    return part


def events(part: Append) -> list[dict[str, Any]]:
    return [json.loads(entry.event) for entry in part.entries]


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


def test_a_turn_that_nobody_reads_is_written_seldom_and_whole_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = make_answer(unread=True)
    answer.put([3], None)
    assert answer.take() is None

    monkeypatch.setattr("workers.answer.UNREAD_SECONDS", 0)
    assert taken(answer).entries[-1].ids == (3,)

    monkeypatch.setattr("workers.answer.UNREAD_SECONDS", 60)
    answer.put([3], None)
    assert answer.take() is None
    answer.put([], Finish(FinishReason.STOP))
    end = taken(answer)
    assert end.final is not None
    assert [entry.ids for entry in end.entries if entry.ids] == [(3,)]


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
    monkeypatch.setattr("workers.answer.HEARTBEAT_SECONDS", 0.0)

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


def test_a_turn_that_gives_way_says_what_it_has_and_keeps_back_what_it_held_back() -> None:
    answer = make_answer(stop=("there now",))
    answer.start(FakeHandle())
    answer.put([3, 4], None)
    assert events(taken(answer))[-1]["delta"] == "Hello "
    answer.put([6, 7], None)
    answer.give_way()
    answer.put((), Finish(FinishReason.CANCELLED))

    part = taken(answer)

    assert (part.entries, part.final) == ((), HandedOn())
    assert answer.take() is None
    # Its row is free when the turn is in line again.
    assert not answer.finished


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH])
def test_a_turn_that_ended_before_it_could_give_way_has_ended(reason: FinishReason) -> None:
    answer = make_answer()
    answer.give_way()
    answer.put([3], Finish(reason))

    assert isinstance(taken(answer).final, Final)
    assert answer.finished


def test_a_turn_that_is_stopped_while_it_gives_way_is_stopped() -> None:
    answer = make_answer()
    answer.give_way()
    answer.stop()
    answer.put([3], Finish(FinishReason.CANCELLED))

    final = taken(answer).final
    assert isinstance(final, Final)
    assert final.status == "cancelled"


@pytest.mark.parametrize("early", [True, False])
def test_the_row_of_a_turn_that_was_lost_while_it_gave_way_is_free(early: bool) -> None:
    answer = make_answer()
    answer.give_way()
    if early:
        answer.drop()
    answer.put([3], Finish(FinishReason.CANCELLED))
    answer.drop()

    assert answer.take() is None
    assert answer.finished
