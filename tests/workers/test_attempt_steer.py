"""A steered attempt ends with the slice that was shown last, unless it calls a tool."""

from tests.workers.attempts import CANCELLED, STOP, FakeHandle, events, make_attempt, taken
from turnstream.workers.attempt import Attempt
from turnstream.workers.engine import Finish, FinishReason

LENGTH = Finish(FinishReason.LENGTH)


def steered(handle: FakeHandle) -> Attempt:
    """Make an attempt that has shown a slice and was steered then."""
    attempt = make_attempt()
    attempt.start(handle)
    attempt.on_step([3], None)
    taken(attempt)
    attempt.steer()
    attempt.on_step([4], None)
    return attempt


def test_a_steered_attempt_ends_after_its_next_slice_and_shows_no_more() -> None:
    handle = FakeHandle()
    attempt = steered(handle)

    [shown] = events(taken(attempt))
    assert handle.cancelled
    attempt.on_step([5], CANCELLED)
    part = taken(attempt)

    assert shown["delta"] == " there"
    last = events(part)[-1]
    assert (last["type"], last["response"]["incomplete_details"]) == (
        "response.incomplete",
        {"reason": "steered"},
    )
    assert part.final is not None
    assert (part.final.status, part.final.text) == ("incomplete", "Hello there")


def test_an_answer_that_ends_by_itself_before_it_is_cut_is_whole() -> None:
    for finish, status in ((STOP, "completed"), (LENGTH, "incomplete")):
        attempt = steered(FakeHandle())
        attempt.on_step([5], finish)

        part = taken(attempt)

        assert part.final is not None
        assert (part.final.status, part.final.text) == (status, "Hello there!")
        assert '"steered"' not in part.final.response


def test_an_answer_that_ends_in_the_step_in_which_it_is_cut_ends_as_steered() -> None:
    attempt = steered(FakeHandle())
    taken(attempt)
    attempt.on_step([5], STOP)

    part = taken(attempt)

    assert part.final is not None
    assert (part.final.status, part.final.text) == ("incomplete", "Hello there")


def test_a_steered_attempt_that_is_cancelled_too_ends_as_cancelled() -> None:
    attempt = steered(FakeHandle())
    taken(attempt)
    attempt.cancel()
    attempt.on_step([5], CANCELLED)

    part = taken(attempt)

    assert part.final is not None
    assert (part.final.status, part.final.text) == ("cancelled", "Hello there!")


def test_an_attempt_that_is_steered_before_its_first_word_ends_with_none() -> None:
    attempt = make_attempt()
    attempt.steer()
    assert attempt.take() is None
    handle = FakeHandle()
    attempt.start(handle)
    attempt.on_step([3], CANCELLED)

    part = taken(attempt)

    assert handle.cancelled
    assert part.final is not None
    assert (part.final.status, part.final.text) == ("incomplete", "")
