"""Starts a worker process with the options that Celery needs here."""

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable

from celery.exceptions import SecurityWarning

from turnstream.turns.environment import SettingError
from turnstream.turns.model_name import served_name
from turnstream.turns.wake_up import queue_of
from turnstream.workers import openmp
from turnstream.workers.settings import WorkerSettings

#: Celery threads that hear bells; they claim one after the other, so more would only wait.
WAKE_UP_THREADS = 4


def run() -> int:
    """Serve the line of one model until told to stop; gives the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(threadName)s %(message)s"
    )
    try:
        settings = WorkerSettings.read(os.environ)
    except SettingError as exc:
        print(exc, file=sys.stderr)  # noqa: T201  the reason is for whoever started this
        return 2
    model = served_name(settings.model)
    queues = f"{queue_of(model)},{queue_of(model, settings.name)}"
    # Celery warns root of pickled messages; ours are JSON, and no other kind is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # A quarter of the start would go into looking for garbage among imports, which all stay. It is
    # turned on again when the model is there.
    gc.disable()
    openmp.prepare()
    from turnstream.workers.celery import app

    worker_main: Callable[[list[str]], int | None] = app.worker_main
    code = worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={WAKE_UP_THREADS}",
            f"--queues={queues}",
            f"--hostname={settings.name}@turnstream",
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
            "--loglevel=WARNING",
        ]
    )
    return code or 0
