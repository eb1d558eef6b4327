"""The memory of a socket's requests that are not answered yet."""

import json
import sys
from types import SimpleNamespace

import pytest

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.frames import Refusal, read_frame
from turnstream.ws_server.lane import WAITING, Lane
from turnstream.ws_server.unanswered import Unanswered, memory_of, text_memory


def unanswered_of(most: int) -> Unanswered:
    return Unanswered(most, ByteRoom(10**9, "All").begin("ann"))


def test_a_single_request_is_taken_whatever_its_size_and_then_no_other() -> None:
    unanswered = unanswered_of(1_000)

    unanswered.add(5_000)

    with pytest.raises(Overloaded, match="at most 1000"):
        unanswered.add(1)
    unanswered.remove(5_000)
    unanswered.add(1)


def test_answers_that_a_request_names_count_with_the_requests_of_other_lanes() -> None:
    unanswered = unanswered_of(1_000)
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


@pytest.mark.parametrize(
    "text", ["a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\u3042", "\U0001f600"]
)
@pytest.mark.parametrize("escaped", [False, True])
def test_the_memory_of_a_text_counts_and_not_its_bytes(text: str, escaped: bool) -> None:
    said = text + "a" * 10_000
    sent = json.dumps({"input": said}, ensure_ascii=escaped)

    # That of the object itself counts with the request.
    assert sys.getsizeof(said) - 100 <= text_memory(sent) <= 2 * sys.getsizeof(said)


def lane(most: int) -> Lane:
    """Make a lane of a connection that only counts bytes."""
    return Lane(SimpleNamespace(unanswered=unanswered_of(most)), None)  # type: ignore[arg-type]


def test_a_refused_request_is_not_kept_in_memory_by_its_error() -> None:
    waiting = lane(10_000)
    for _ in range(2):
        waiting.put(read_create({"input": "a" * 9_000}), 9_000)

    taken, refused = (waiting._inbox.get_nowait()[0] for _ in range(2))

    assert isinstance(taken, Create)
    assert isinstance(refused, Refusal)
    assert refused.error.code == "overloaded"
    # A stack would hold the frames, and these the request.
    assert refused.error.__traceback__ is None
    waiting.put(read_frame('{"type": "response.create", "input": 5}').request, 40)  # type: ignore
    refused, _ = waiting._inbox.get_nowait()
    assert isinstance(refused, Refusal)
    assert (refused.error.__traceback__, refused.error.__cause__) == (None, None)


def test_a_full_lane_refuses_before_it_counts() -> None:
    waiting = lane(10**9)
    for _ in range(WAITING):
        waiting.put(read_create({"input": "a"}), 10)
    before = waiting._connection.unanswered._bytes

    waiting.put(read_create({"input": "a"}), 10)

    assert waiting._connection.unanswered._bytes == before
