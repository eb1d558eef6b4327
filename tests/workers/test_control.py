"""What a worker does with each command of its control channel."""

from collections.abc import Iterator
from threading import Event

from turnstream.turns.commands import Cancel, Command, Preempt, WakeUp
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.control import ControlListener


def test_a_wake_up_makes_the_claimer_claim_without_waiting_for_it() -> None:
    done, asked = Event(), Event()

    def subscribe() -> Iterator[Command | None]:
        # Commands for turns that are not active here do nothing.
        yield from (Cancel("resp_1"), Preempt("resp_1"), WakeUp())
        done.set()
        while True:
            yield None

    listener = ControlListener(subscribe, ActiveTurns(1), asked.set)
    listener.start()
    assert done.wait(30)
    listener.stop()

    assert asked.is_set()
