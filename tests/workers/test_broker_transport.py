"""When Celery takes the messages that arrive."""

from typing import Any

import pytest
from kombu import Connection

from turnstream.workers import broker_transport
from turnstream.workers.broker_transport import DELAY_SECONDS, Transport


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Takes:
    """Takes the place of kombu's poller, and notes when a message was taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at: list[float] = []

    def on_readable(self, fileno: int) -> None:
        self.at.append(self._clock.now)


def test_a_message_is_taken_after_the_pause_and_those_behind_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(broker_transport, "time", clock)
    transport: Any = Connection("redis://127.0.0.1:1", transport=Transport).transport
    transport.cycle = takes = Takes(clock)

    for _ in range(3):
        transport.on_readable(7)
    clock.sleep(1)
    transport.on_readable(7)

    first = 100 + DELAY_SECONDS
    assert takes.at == [first, first, first, first + 1 + DELAY_SECONDS]
