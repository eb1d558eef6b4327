"""Makes a worker's engine or its Celery fail, once, after a file was put down for that.

And `turnstream up` starts what has ended again after half a second each time: one test after the
other kills the same processes, and would wait longer and longer for them.

Python imports this by itself, at the start of every process that has this folder on its path.
"""

import os
import sys
import threading
import time
from pathlib import Path

ENGINE = "turnstream.workers.engines.slot_engine"
BROKER = "kombu.transport.redis"


def _wait(order: Path) -> None:
    # Other processes of the worker, such as its guard, have no engine and leave the order alone.
    while not (order.exists() and ENGINE in sys.modules):
        time.sleep(0.01)
    order.unlink()

    def fail(_engine: object) -> None:
        raise MemoryError("sabotage")

    sys.modules[ENGINE].SlotEngine._step = fail  # type: ignore[attr-defined]


def _wait_for_celery(order: Path) -> None:
    while not (order.exists() and BROKER in sys.modules):
        time.sleep(0.01)
    order.unlink()

    def fail(_text: str) -> None:
        raise MemoryError("sabotage")

    # What reads the next message.
    sys.modules[BROKER].loads = fail  # type: ignore[attr-defined]


if "SABOTAGE" in os.environ and "TURNSTREAM_WORKER_INDEX" in os.environ:
    _ORDER = Path(os.environ["SABOTAGE"]) / f"w{os.environ['TURNSTREAM_WORKER_INDEX']}"
    threading.Thread(target=_wait, args=(_ORDER,), daemon=True).start()
    threading.Thread(
        target=_wait_for_celery, args=(_ORDER.with_name("celery"),), daemon=True
    ).start()

if sys.orig_argv[1:5] == ["-P", "-m", "turnstream", "up"]:
    from turnstream.cli import supervisor

    supervisor.LONGEST_DELAY_SECONDS = supervisor.FIRST_DELAY_SECONDS
