"""The Celery application of a worker process: `celery -A workers worker --pool=threads`.

Celery carries the bell and nothing else. Signals make the worker before the first message is taken,
and end it after the last.
"""

import gc
import logging
import os
import sys
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from turnstream.turns.wake_up import OLD_WAKE_UP_TASK, WAKE_UP_TASK
from turnstream.workers.settings import WorkerSettings
from turnstream.workers.worker import Worker

log = logging.getLogger(__name__)

#: The process ends with this when one of its threads has died, to be started again.
THREAD_DIED = 5
#: The process ends with this when its model can't be loaded: starting it again would not help.
CANNOT_LOAD = 3


def celery_settings(redis_url: str) -> dict[str, Any]:
    """Give the settings that came through every fault that was tried on them."""
    return {
        "broker_url": redis_url,
        # A worker starts and restarts whatever Redis does, for as long as it takes.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": 3,
            "socket_connect_timeout": 1,
            "health_check_interval": 5,
            "retry_on_timeout": False,
        },
        # Early acks: a bell is not a ticket, so one that is lost or heard twice does no harm.
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        # Nobody who can write to Redis gets to command a worker.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
    }


def make_app() -> Celery:
    """Make the application, with its one task and the worker behind it."""
    app = Celery("turnstream")
    # Read when Celery first needs them, not when this module is imported.
    app.add_defaults(lambda: celery_settings(WorkerSettings.read(os.environ).turns.redis_url))
    process = WorkerProcess()
    worker_init.connect(process.open, weak=False)
    worker_ready.connect(process.begin, weak=False)
    # Told to go; Celery may take a second more until it has shut down.
    worker_shutting_down.connect(process.retire, weak=False)
    worker_shutdown.connect(process.close, weak=False)

    @app.task(name=WAKE_UP_TASK)
    def wake_up(turn_id: str) -> None:
        log.debug("%s: rung", turn_id)
        process.wake_up()

    # Messages of an older release may still be in the queue, and its nodes still send them while an
    # upgrade rolls. An unknown task would be logged as an error and the wake-up would be lost.
    app.task(name=OLD_WAKE_UP_TASK)(wake_up.run)
    return app


class WorkerProcess:
    """Holds the process's worker between Celery's signals."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def open(self, **_: object) -> None:
        threading.excepthook = _end_process
        # Celery logs and forgets what a signal's receiver raises: end the process by hand.
        try:
            self._worker = Worker(WorkerSettings.read(os.environ))
        except Exception as exc:
            log.critical("cannot load the model: %s", exc, exc_info=log.isEnabledFor(logging.DEBUG))
            sys.stderr.flush()
            os._exit(CANNOT_LOAD)
        # Off since the start. What is there by now stays, so that the collector need never walk a
        # million objects between two steps.
        gc.freeze()
        gc.enable()

    def begin(self, **_: object) -> None:
        if self._worker is not None:
            self._worker.start()

    def wake_up(self) -> None:
        if self._worker is not None:
            self._worker.wake_up()

    def retire(self, **_: object) -> None:
        if self._worker is not None:
            self._worker.retire()

    def close(self, **_: object) -> None:
        if self._worker is not None:
            self._worker.stop()


def _end_process(died: threading.ExceptHookArgs) -> None:
    # A worker with a thread less would hold its turns, and its place, for ever. Another attempt
    # goes on from the log, and a turn that ends every worker is given up after a few.
    name = died.thread.name if died.thread is not None else "a thread"
    log.critical("%s died, and this process with it", name, exc_info=died.exc_value)
    sys.stderr.flush()
    os._exit(THREAD_DIED)


app = make_app()
