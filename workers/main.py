"""Starts a worker process with the options that Celery needs here."""

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable

from celery.exceptions import SecurityWarning

from turnstream.turns import log_lines
from turnstream.turns.environment import SettingError
from turnstream.turns.model_name import served_name
from turnstream.turns.probe import redis_problem_now
from turnstream.turns.redis_version import version_warning_of
from turnstream.turns.wake_up import queue_of
from turnstream.workers import openmp
from turnstream.workers.name import leased_index
from turnstream.workers.settings import WorkerSettings

#: Celery threads that receive wake-ups; their claims are serialised, so more would only wait.
WAKE_UP_THREADS = 4
#: Of log lines as text.
LOG_FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(message)s"


def run() -> int:
    """Serve one model's queue until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = WorkerSettings.read(os.environ)
    except SettingError as exc:
        print(exc, file=sys.stderr)  # noqa: T201  the command line's error output
        return 2
    model = served_name(settings.model)
    # Celery warns about pickled messages when run as root; only JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    turns = settings.turns
    problem = redis_problem_now(turns.redis_url, model, key_prefix=turns.key_prefix)
    if problem is not None:
        logging.warning("Redis can't be used yet, the worker waits for it: %s", problem)
    if warning := version_warning_of(turns.redis_url):
        logging.warning(warning)
    with leased_index(turns, model, settings.index) as index:
        if index is None:
            return 0
        # Whatever reads the settings from here on has the name.
        os.environ["TURNSTREAM_WORKER_INDEX"] = str(index)
        return _serve(WorkerSettings.read(os.environ), model)


def _serve(settings: WorkerSettings, model: str) -> int:
    log_lines.configure(settings.turns.log, LOG_FORMAT, worker=settings.name, model=model)
    queues = f"{queue_of(model)},{queue_of(model, settings.name)}"
    # Collecting garbage during imports takes a quarter of the start and finds nothing. The
    # collector is enabled again once the model is loaded.
    gc.disable()
    openmp.prepare()
    from turnstream.workers.celery import app, worker_process

    worker_main: Callable[[list[str]], None] = app.worker_main
    worker_main(
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
    return worker_process.exit_code
