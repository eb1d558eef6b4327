"""The Celery application of a worker process: `celery -A workers worker --pool=threads`.

Celery delivers wake-ups and nothing else. Its signals create the worker before the first message is
received, and stop it after the last.
"""

import gc
import logging
import os
import sys
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from turnstream.turns.settings import TurnSettings
from turnstream.turns.wake_up import OLD_WAKE_UP_TASK, WAKE_UP_TASK
from turnstream.workers.broker_settings import broker_settings
from turnstream.workers.consumer import Consumer
from turnstream.workers.settings import WorkerSettings
from turnstream.workers.worker import Worker

log = logging.getLogger(__name__)

#: Exit code when Celery has ended and nobody asked for it.
UNASKED = 1
#: Exit code when one of the threads has died; the process is to be started again.
THREAD_DIED = 5
#: Exit code when the model cannot be loaded; starting the process again would not help.
CANNOT_LOAD = 3


def celery_settings(settings: TurnSettings) -> dict[str, Any]:
    """Return Celery's settings; tests/faults covers each of them."""
    return {
        **broker_settings(settings),
        # A worker waits for Redis without a limit, at its start and later.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # What Redis says during a failover, or when it takes no data, is no reason to end either.
        "broker_channel_error_retry": True,
        "worker_consumer": f"{Consumer.__module__}:{Consumer.__name__}",
        # Acknowledged early: a wake-up that is lost or delivered twice does no harm.
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        # Whoever can write to Redis could otherwise shut workers down.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
    }


def make_app(process: "WorkerProcess") -> Celery:
    """Return the application, with its one task and the worker process behind it."""
    app = Celery("turnstream")
    # Settings are read when Celery first needs them, not when this module is imported.
    app.add_defaults(lambda: celery_settings(WorkerSettings.read(os.environ).turns))
    worker_init.connect(process.open, weak=False)
    worker_ready.connect(process.begin, weak=False)
    # SIGTERM was received; Celery may take a second more until `worker_shutdown`.
    worker_shutting_down.connect(process.told_to_stop, weak=False)
    worker_shutdown.connect(process.close, weak=False)

    @app.task(name=WAKE_UP_TASK)
    def wake_up(turn_id: str) -> None:
        log.debug("%s: wake-up received", turn_id, extra={"turn_id": turn_id})
        process.wake_up()

    # Messages of an older release may still be in the queue, and its nodes still send them while an
    # upgrade rolls. An unknown task would be logged as an error and the wake-up would be lost.
    app.task(name=OLD_WAKE_UP_TASK)(wake_up.run)
    return app


class WorkerProcess:
    """Holds the worker between Celery's signals."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        #: What Celery ends with after a signal; 1 after Ctrl-C.
        self._signal_code: int | None = None
        self._celery_code: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the process, once Celery has ended; 0 only if it was told to end."""
        if self._signal_code is not None and self._celery_code == self._signal_code:
            return 0
        return self._celery_code or UNASKED

    def open(self, **_: object) -> None:
        threading.excepthook = _end_process
        # Celery only logs what a signal receiver raises, so the process is ended here.
        try:
            self._worker = Worker(WorkerSettings.read(os.environ))
        except Exception as exc:
            log.critical("cannot load the model: %s", exc, exc_info=log.isEnabledFor(logging.DEBUG))
            sys.stderr.flush()
            os._exit(CANNOT_LOAD)
        # The garbage collector was off since the start. All objects made so far stay, so they are
        # frozen: walking a million objects would delay a step.
        gc.freeze()
        gc.enable()

    def begin(self, **_: object) -> None:
        if self._worker is not None:
            self._worker.start()

    def wake_up(self) -> None:
        if self._worker is not None:
            self._worker.wake_up()

    def told_to_stop(self, exitcode: int = 0, **_: object) -> None:
        self._signal_code = exitcode
        if self._worker is not None:
            self._worker.stop_claiming()

    def close(self, sender: Any = None, **_: object) -> None:
        # Celery's own entry point returns nothing.
        self._celery_code = getattr(sender, "exitcode", None)
        if self._worker is not None:
            self._worker.stop()


def _end_process(died: threading.ExceptHookArgs) -> None:
    # Without one of its threads a worker would keep its turns and its leases for ever. Their next
    # attempts continue from the log; a turn that ends several workers is failed.
    name = died.thread.name if died.thread is not None else "unknown"
    log.critical(
        "thread %s died; the process ends with code %d", name, THREAD_DIED, exc_info=died.exc_value
    )
    sys.stderr.flush()
    os._exit(THREAD_DIED)


worker_process = WorkerProcess()
app = make_app(worker_process)
