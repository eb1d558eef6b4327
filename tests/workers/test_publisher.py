"""What the publisher does when Redis is away, and when it is refused."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.workers.answering import STOP, FakeHandle, make_answer
from turnstream.turns.log import Append, Verdict
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer import Answer
from turnstream.workers.publisher import Publisher


class FakeLog:
    """Answers each append as told, then with OK."""

    def __init__(self) -> None:
        self.answers: list[Verdict | Exception] = []
        self.appends: list[list[Append]] = []
        self.appended = threading.Semaphore(0)

    def append(self, parts: Sequence[Append]) -> list[Verdict]:
        self.appends.append(list(parts))
        answer = self.answers.pop(0) if self.answers else Verdict.OK
        self.appended.release()
        if isinstance(answer, Exception):
            raise answer
        return [answer] * len(parts)

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.appended.acquire(timeout=10), "nothing was appended"


Start = Callable[[], tuple[ActiveTurns, FakeLog, Publisher]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr("turnstream.workers.publisher.RETRY_SECONDS", 0.01)
    running: list[Publisher] = []

    def make() -> tuple[ActiveTurns, FakeLog, Publisher]:
        active, log = ActiveTurns(slots=4), FakeLog()
        publisher = Publisher(active, log)  # type: ignore[arg-type]
        publisher.start()
        running.append(publisher)
        return active, log, publisher

    yield make
    for publisher in running:
        publisher.stop()


def begun(active: ActiveTurns, *, attempt: int = 1) -> Answer:
    answer = make_answer(attempt=attempt)
    active.add(answer)
    answer.start(FakeHandle())
    answer.put([3], None)
    return answer


def test_all_turns_of_a_step_are_written_in_one_call(start: Start) -> None:
    active, log, publisher = start()
    answers = []
    for attempt in range(3):
        answer = make_answer(attempt=attempt)
        answer.put([3], None)
        active.add(answer)
        answers.append(answer)

    publisher.wake()
    log.wait(1)

    assert [part.attempt for part in log.appends[0]] == [0, 1, 2]


def test_what_gathers_is_written_though_nobody_says_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.workers.publisher.IN_PROGRESS_SECONDS", 240)
    active, log, publisher = start()
    answer = begun(active)
    publisher.wake()
    log.wait(1)

    answer.put([4], None)
    log.wait(1)

    assert [entry.ids for entry in log.appends[-1][0].entries] == [(4,)]


def test_a_step_that_brings_something_pressing_is_written_when_it_is_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.workers.publisher.PACE_SECONDS", 60)
    active, log, publisher = start()
    first = begun(active)
    publisher.wake()
    log.wait(1)

    first.put([4], None)
    publisher.after_step()
    assert not log.appended.acquire(timeout=0.1)
    begun(active, attempt=2)
    publisher.expect()
    publisher.after_step()
    log.wait(1)

    assert [part.entries[-1].ids for part in log.appends[-1]] == [(4,), (3,)]


def test_while_redis_is_away_the_same_is_written_again_and_the_rest_gathers(start: Start) -> None:
    active, log, publisher = start()
    log.answers = [RedisConnectionError("away")] * 3
    answer = begun(active)
    publisher.wake()
    log.wait(1)
    answer.put([4], None)
    answer.put([5], None)
    log.wait(3)
    publisher.wake()
    log.wait(1)

    first, *again, rest = log.appends
    assert all(parts == first for parts in again)
    assert [entry.ids for entry in rest[0].entries] == [(4, 5)]
    assert rest[0].first == first[0].first + 3


def test_what_was_written_though_the_answer_was_lost_counts_as_written(start: Start) -> None:
    active, log, publisher = start()
    log.answers = [RedisConnectionError("cut"), Verdict.REPEATED]
    answer = begun(active)
    publisher.wake()
    log.wait(2)
    answer.put([4], STOP)
    publisher.wake()
    log.wait(1)

    assert not answer.dropped
    assert log.appends[-1][0].final is not None


@pytest.mark.parametrize("verdict", [Verdict.STALE, Verdict.ENDED, Verdict.GONE, Verdict.HOLE])
def test_a_refused_turn_is_given_up_and_leaves_the_engine(start: Start, verdict: Verdict) -> None:
    active, log, publisher = start()
    log.answers = [verdict]
    answer = begun(active)
    publisher.wake()
    log.wait(1)
    publisher.stop()

    assert answer.dropped
    assert isinstance(answer.handle, FakeHandle)
    assert answer.handle.cancelled
    assert active.answers() == []


def test_an_answer_leaves_the_desk_when_its_end_is_written(start: Start) -> None:
    active, log, publisher = start()
    answer = begun(active)
    assert active.free_slots() == 3
    answer.put([4], STOP)
    assert active.free_slots() == 4
    publisher.wake()
    log.wait(1)
    publisher.stop()

    assert active.answers() == []
