"""Celery's consumer of wake-ups, which waits until Redis can be used and says why it can't.

Stock Celery connects to a replica or a full Redis and fails at its first write, over and over.
"""

import logging
import os
import time
from typing import Any

import kombu
from celery.worker.consumer.consumer import Consumer as StockConsumer
from celery.worker.state import maybe_shutdown

from turnstream.turns.model_name import served_name
from turnstream.turns.probe import redis_problem_now
from turnstream.turns.problem_log import ProblemLog
from turnstream.workers.settings import WorkerSettings

log = logging.getLogger(__name__)

#: What kombu raises for a message that it can't read; it has taken it off the queue by then.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
#: Pause between two looks at a Redis that can't be used.
RETRY_SECONDS = 0.25
#: Shortest time between two connections. Turns are claimed without wake-ups meanwhile.
RECONNECT_SECONDS = 2.0


class Consumer(StockConsumer):
    """A consumer that connects when Redis can take turns, and not before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = WorkerSettings.read(os.environ)
        self._settings = settings.turns
        self._model = served_name(settings.model)
        self._problems = ProblemLog(settings.turns.redis_url)
        self._connected_at = -RECONNECT_SECONDS
        super().__init__(*args, **kwargs)
        # After these Celery connects again; after any other error the worker would end.
        self.channel_errors: tuple[type[BaseException], ...] = (
            *vars(self)["channel_errors"],
            *MALFORMED,
        )

    def connect(self) -> kombu.Connection:
        """Wait until Redis can be used, and connect.

        Raises:
            WorkerShutdown: a signal told the worker to stop.
        """
        while True:
            problem = redis_problem_now(
                self._settings.redis_url, self._model, key_prefix=self._settings.key_prefix
            )
            if problem is not None:
                self._problems.log(problem)
            elif time.monotonic() - self._connected_at >= RECONNECT_SECONDS:
                break
            maybe_shutdown()
            time.sleep(RETRY_SECONDS)
        self._problems.solved()
        self._connected_at = time.monotonic()
        return super().connect()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log what is wrong, and let Celery close the connection."""
        if isinstance(exc, MALFORMED):
            log.warning("a message that is no wake-up is dropped: %s", type(exc).__name__)
        else:
            self._problems.report(exc)
        super().on_connection_error_after_connected(exc)
