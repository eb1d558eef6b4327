"""Celery's consumer of wake-ups, which waits until Redis can be used and says why it can't.

Stock Celery connects to a replica or a full Redis and fails at its first write, over and over; and
it speaks TLS with any certificate unless it is told which to trust.
"""

import os
import time
from typing import Any

import kombu
from celery.worker.consumer.consumer import Consumer as StockConsumer
from celery.worker.state import maybe_shutdown
from redis.connection import parse_url

from turnstream.turns.model_name import served_name
from turnstream.turns.probe import redis_problem_now
from turnstream.turns.redis_problem import ProblemLog
from turnstream.workers.settings import WorkerSettings

#: Pause between two looks at a Redis that can't be used.
RETRY_SECONDS = 0.25
#: Shortest time between two connections. Turns are claimed without wake-ups meanwhile.
RECONNECT_SECONDS = 2.0


class Consumer(StockConsumer):
    """A consumer that connects when Redis can take turns, and not before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = WorkerSettings.read(os.environ)
        self._url = settings.turns.redis_url
        self._model = served_name(settings.model)
        self._problems = ProblemLog(self._url)
        self._connected_at = -RECONNECT_SECONDS
        super().__init__(*args, **kwargs)

    def connect(self) -> kombu.Connection:
        """Wait until Redis can be used, and connect.

        Raises:
            WorkerShutdown: a signal told the worker to stop.
        """
        while True:
            problem = redis_problem_now(self._url, self._model)
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
        """Log what Redis said, and let Celery close the connection."""
        self._problems.report(exc)
        super().on_connection_error_after_connected(exc)


def broker_settings(redis_url: str) -> dict[str, Any]:
    """Return Celery's settings of the connection; its certificate is checked as redis-py does."""
    parse: Any = parse_url
    options = parse(redis_url)
    # Celery takes options from a setting, and not all of redis-py's from the URL.
    url = redis_url.partition("?")[0]
    if not redis_url.startswith("rediss://"):
        return {"broker_url": url}
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return {"broker_url": url, "broker_use_ssl": {"ssl_cert_reqs": "required", **tls}}
