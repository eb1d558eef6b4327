"""Every transition of an attempt in every state."""

import pytest

from tests.workers.attempts import CANCELLED, STOP, Calls, FakeHandle, make_attempt
from turnstream.turns.errors import BadRequest
from turnstream.workers.attempt import Attempt
from turnstream.workers.attempt_state import AttemptState, Transition

#: The next state for each state and transition; "." where nothing changes.
TABLE = """
state         start    cancel      preempt     reassign_slot drop      refuse   abandon  finish  leave_engine take_last write_last
claimed       running  cancelling  preempting  .             dropping  ending   dropped  ending  dropped      .         .
running       .        cancelling  preempting  .             dropping  .        dropped  ending  dropped      .         .
cancelling    .        .           .           .             dropping  ending   dropped  ending  ending       .         .
preempting    .        cancelling  .           reassigned    dropping  ending   dropped  ending  requeuing    .         .
reassigned    .        cancelling  .           .             dropping  ending   dropped  ending  requeuing    .         .
requeuing     .        ending      .           .             dropped   .        .        .       .            requeued  .
requeued      .        .           .           .             dropped   .        .        .       .            .         dropped
ending        .        .           .           .             dropped   .        .        .       .            ended     .
ended         .        .           .           .             dropped   .        .        .       .            .         .
dropping      .        .           .           .             .         dropped  dropped  dropped dropped      .         .
dropped       .        .           .           .             .         .        .        .       .            .         .
"""  # noqa: E501


def rows() -> list[tuple[AttemptState, Transition, AttemptState | None]]:
    head, *lines = [line.split() for line in TABLE.strip().splitlines()]
    return [
        (AttemptState(state), Transition(name), None if to == "." else AttemptState(to))
        for state, *cells in lines
        for name, to in zip(head[1:], cells, strict=True)
    ]


def reach(state: AttemptState, calls: Calls | None = None) -> Attempt:
    """Bring a new attempt into a state by its own methods."""
    attempt = make_attempt(calls=calls)
    match state:
        case AttemptState.CLAIMED:
            return attempt
        case AttemptState.RUNNING:
            attempt.start(FakeHandle())
        case AttemptState.CANCELLING:
            attempt.cancel()
        case AttemptState.PREEMPTING:
            attempt.preempt()
        case AttemptState.REASSIGNED:
            attempt.preempt()
            attempt.reassign_slot()
        case AttemptState.REQUEUING | AttemptState.REQUEUED:
            attempt.preempt()
            attempt.on_step((), CANCELLED)
        case AttemptState.ENDING | AttemptState.ENDED:
            attempt.on_step((), STOP)
        case AttemptState.DROPPING:
            attempt.drop()
        case AttemptState.DROPPED:
            attempt.abandon()
    if state in (AttemptState.REQUEUED, AttemptState.ENDED):
        assert attempt.take() is not None
    assert attempt.state is state
    return attempt


def apply(attempt: Attempt, transition: Transition) -> None:
    match transition:
        case Transition.START:
            attempt.start(FakeHandle())
        case Transition.CANCEL:
            attempt.cancel()
        case Transition.PREEMPT:
            attempt.preempt()
        case Transition.REASSIGN_SLOT:
            attempt.reassign_slot()
        case Transition.DROP:
            attempt.drop()
        case Transition.REFUSE:
            attempt.refuse(BadRequest("no"))
        case Transition.ABANDON:
            attempt.abandon()
        case Transition.FINISH:
            attempt.on_step((), STOP)
        case Transition.LEAVE_ENGINE:
            attempt.on_step((), CANCELLED)
        case Transition.TAKE_LAST:
            attempt.take()
        case Transition.WRITE_LAST:
            attempt.written()


@pytest.mark.parametrize(("state", "transition", "expected"), rows())
def test_each_transition_in_each_state(
    state: AttemptState, transition: Transition, expected: AttemptState | None
) -> None:
    attempt = reach(state)

    apply(attempt, transition)

    assert attempt.state is (expected or state)


def test_the_table_covers_every_pair() -> None:
    assert len(rows()) == len(AttemptState) * len(Transition)


@pytest.mark.parametrize("state", ["cancelling", "preempting", "reassigned", "dropping"])
def test_a_turn_that_is_to_leave_the_engine_is_cancelled_when_its_handle_comes(state: str) -> None:
    attempt, handle = reach(AttemptState(state)), FakeHandle()

    attempt.start(handle)

    assert handle.cancelled


@pytest.mark.parametrize("transition", [Transition.CANCEL, Transition.PREEMPT, Transition.DROP])
def test_a_running_turn_that_is_to_leave_the_engine_is_cancelled(transition: Transition) -> None:
    attempt, handle = make_attempt(), FakeHandle()
    attempt.start(handle)

    apply(attempt, transition)

    assert handle.cancelled


def test_a_slot_is_free_once_the_turn_is_over_or_left_to_another_attempt() -> None:
    free = [state for state in AttemptState if reach(state).slot_free]

    assert free == [AttemptState.ENDING, AttemptState.ENDED, AttemptState.DROPPED]


@pytest.mark.parametrize(("state", "transition", "expected"), rows())
def test_the_claimer_is_called_whenever_a_slot_becomes_free_or_is_preempted(
    state: AttemptState, transition: Transition, expected: AttemptState | None
) -> None:
    calls = Calls()
    attempt = reach(state, calls)
    free, before = attempt.slot_free, calls.slot_changes

    apply(attempt, transition)

    preempted = expected is AttemptState.PREEMPTING
    assert calls.slot_changes - before == ((attempt.slot_free and not free) or preempted)


@pytest.mark.parametrize(
    "state", ["requeued", "ended", "dropping", "dropped"], ids=lambda state: f"in {state}"
)
def test_nothing_is_taken_from(state: str) -> None:
    attempt = reach(AttemptState(state))
    attempt.on_step([3], None)

    assert attempt.take() is None
