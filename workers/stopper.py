"""The thread that hears when a turn is to end, or its row is wanted, and has the engine end it."""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread

from turnstream.turns.orders import Order
from turnstream.turns.queue import AWAY
from turnstream.workers.desk import Desk

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class Stopper:
    """Stops what it is told to stop.

    Args:
        listen: begins to listen; gives orders, and None now and then.
    """

    def __init__(self, listen: Callable[[], Iterator[Order | None]], desk: Desk) -> None:
        self._listen = listen
        self._desk = desk
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="stopper")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; may take as long as a silence is waited out."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for order in self._listen():
                    if self._stopping.is_set():
                        return
                    if order is not None:
                        self._carry_out(order)
            except AWAY:
                # The beat says the same, only later.
                self._stopping.wait(RETRY_SECONDS)

    def _carry_out(self, order: Order) -> None:
        for answer in self._desk.answers():
            if answer.claimed.id == order.turn_id:
                log.info("%s: %s", order.turn_id, "gives way" if order.yields else "stopped")
                if order.yields:
                    self._desk.give_way(answer)
                else:
                    answer.stop()
