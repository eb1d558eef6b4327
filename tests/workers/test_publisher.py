"""The publisher, also while Redis is unreachable and when its appends are refused."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.workers.attempts import STOP, FakeHandle, make_attempt
from turnstream.turns.log import Append, Verdict
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.attempt import Attempt
from turnstream.workers.publisher import Publisher


class FakeLog:
    """Gives each append the next of its verdicts, then OK."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict | Exception] = []
        self.appends: list[list[Append]] = []
        self.appended = threading.Semaphore(0)

    def append(self, parts: Sequence[Append]) -> list[Verdict]:
        self.appends.append(list(parts))
        verdict = self.verdicts.pop(0) if self.verdicts else Verdict.OK
        self.appended.release()
        if isinstance(verdict, Exception):
            raise verdict
        return [verdict] * len(parts)

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.appended.acquire(timeout=30), "nothing was appended"


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


def begun(active: ActiveTurns, *, number: int = 1) -> tuple[Attempt, FakeHandle]:
    attempt, handle = make_attempt(attempt=number), FakeHandle()
    active.add(attempt)
    attempt.start(handle)
    attempt.on_step([3], None)
    return attempt, handle


def test_all_turns_of_a_step_are_written_in_one_call(start: Start) -> None:
    active, log, publisher = start()
    for number in range(3):
        attempt = make_attempt(attempt=number)
        attempt.on_step([3], None)
        active.add(attempt)

    publisher.wake()
    log.wait(1)

    assert [part.attempt for part in log.appends[0]] == [0, 1, 2]


def test_gathered_ids_are_written_at_the_flush_interval(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.workers.publisher.IN_PROGRESS_SECONDS", 240)
    active, log, publisher = start()
    attempt, _ = begun(active)
    publisher.wake()
    log.wait(1)

    attempt.on_step([4], None)
    log.wait(1)

    assert [entry.token_ids for entry in log.appends[-1][0].entries] == [(4,)]


def test_an_urgent_write_waits_for_the_end_of_the_step(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.workers.publisher.FLUSH_SECONDS", 60)
    active, log, publisher = start()
    first, _ = begun(active)
    publisher.wake()
    log.wait(1)

    first.on_step([4], None)
    publisher.after_step()
    assert not log.appended.acquire(timeout=0.1)
    begun(active, number=2)
    publisher.write_after_step()
    publisher.after_step()
    log.wait(1)

    assert [part.entries[-1].token_ids for part in log.appends[-1]] == [(4,), (3,)]


def test_a_failed_append_is_repeated_unchanged_while_newer_ids_gather(start: Start) -> None:
    active, log, publisher = start()
    log.verdicts = [RedisConnectionError("unreachable")] * 3
    attempt, _ = begun(active)
    publisher.wake()
    log.wait(1)
    attempt.on_step([4], None)
    attempt.on_step([5], None)
    log.wait(3)
    publisher.wake()
    log.wait(1)

    first, *again, rest = log.appends
    assert all(parts == first for parts in again)
    assert [entry.token_ids for entry in rest[0].entries] == [(4, 5)]
    assert rest[0].first == first[0].first + 3


def test_an_append_whose_reply_was_lost_counts_as_written(start: Start) -> None:
    active, log, publisher = start()
    log.verdicts = [RedisConnectionError("cut"), Verdict.REPEATED]
    attempt, _ = begun(active)
    publisher.wake()
    log.wait(2)
    attempt.on_step([4], STOP)
    publisher.wake()
    log.wait(1)

    assert not attempt.dropped
    assert log.appends[-1][0].final is not None


@pytest.mark.parametrize("verdict", [Verdict.STALE, Verdict.ENDED, Verdict.GONE, Verdict.GAP])
def test_a_turn_whose_append_is_refused_is_dropped_and_cancelled(
    start: Start, verdict: Verdict
) -> None:
    active, log, publisher = start()
    log.verdicts = [verdict]
    attempt, handle = begun(active)
    publisher.wake()
    log.wait(1)
    publisher.stop()

    assert attempt.dropped
    assert handle.cancelled
    assert active.attempts() == []


def test_an_attempt_is_active_until_its_end_is_written(start: Start) -> None:
    active, log, publisher = start()
    attempt, _ = begun(active)
    assert active.free_slots() == 3
    attempt.on_step([4], STOP)
    assert active.free_slots() == 4
    publisher.wake()
    log.wait(1)
    publisher.stop()

    assert active.attempts() == []
