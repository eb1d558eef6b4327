"""The memory of a socket's requests that are not answered yet."""

import pytest

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.create import read_create
from turnstream.ws_server.unanswered import Unanswered, memory_of


def test_a_single_request_is_taken_whatever_its_size_and_then_no_other() -> None:
    unanswered = Unanswered(1_000)

    unanswered.add(5_000)

    with pytest.raises(Overloaded, match="at most 1000"):
        unanswered.add(1)
    unanswered.remove(5_000)
    unanswered.add(1)


def test_answers_that_a_request_names_count_with_the_requests_of_other_lanes() -> None:
    unanswered = Unanswered(1_000)
    unanswered.add(600)
    unanswered.grow(600, 5_000)
    unanswered.remove(5_600)
    unanswered.add(600)
    unanswered.add(100)

    unanswered.grow(600, 300)

    with pytest.raises(Overloaded):
        unanswered.grow(900, 1)
    # What was refused was not counted.
    unanswered.remove(900)
    unanswered.add(900)


def test_many_short_messages_count_for_more_than_their_text() -> None:
    many = read_create({"input": [{"role": "user", "content": "a"}] * 1_000})
    one = read_create({"input": "a" * 1_000})

    assert memory_of(many, 1_000) > 100 * memory_of(one, 1_000)
