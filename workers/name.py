"""Gets a worker its name at the start, and keeps it: the index is leased from Redis.

A worker that was paused so long that another has its name ends, for the two would answer to the
same commands; its turns went to others long before.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from turnstream.turns.connection import connect
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.queue import RETRYABLE_ERRORS
from turnstream.turns.settings import TurnSettings
from turnstream.turns.worker_index import WorkerIndex
from turnstream.workers.stop_signals import stop_signals

log = logging.getLogger(__name__)

#: Exit code when another worker has the name; the process is to be started again.
NAME_LOST = 6
#: Shorter than the grace after an outage, in which no lapsed index is given away.
RENEW_SECONDS = 1.0
RETRY_SECONDS = 0.25


@contextmanager
def leased_index(settings: TurnSettings, model: str, index: int | None) -> Iterator[int | None]:
    """Give the index of this worker, and hold it until the block ends.

    Waits for Redis, unless the index is given. None: a signal told the worker to end meanwhile.
    """
    with connect(settings.redis_url, key_prefix=settings.key_prefix) as client:
        lease = WorkerIndex(client, model=model, index=index)
        if index is None and not _take(lease, settings.redis_url):
            yield None
            return
        ended = Event()
        thread = Thread(target=_renew, args=(lease, ended), name="name", daemon=True)
        thread.start()
        try:
            yield lease.index
        finally:
            ended.set()
            thread.join()
            with suppress(*RETRYABLE_ERRORS):
                lease.release()


def _take(lease: WorkerIndex, url: str) -> bool:
    problems = ProblemLog(url)
    with stop_signals() as stopped:
        while not stopped.is_set():
            try:
                lease.take()
            except RETRYABLE_ERRORS as exc:
                problems.report(exc)
                stopped.wait(RETRY_SECONDS)
            else:
                problems.solved()
                return True
    return False


def _renew(lease: WorkerIndex, ended: Event) -> None:
    taken = not lease.fixed
    while not ended.wait(RENEW_SECONDS if taken else 0):
        try:
            held = lease.renew() if taken else lease.take() is not None
        except RETRYABLE_ERRORS:
            ended.wait(RETRY_SECONDS)
            continue
        taken = True
        if held:
            continue
        if lease.fixed:
            log.error(
                "another worker is called w%d: give each its own TURNSTREAM_WORKER_INDEX, or none",
                lease.index,
            )
            return
        log.critical(
            "another worker is called w%d by now; the process ends with code %d",
            lease.index,
            NAME_LOST,
        )
        sys.stderr.flush()
        os._exit(NAME_LOST)
