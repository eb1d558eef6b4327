"""Makes a worker's engine fail, once, at the next step after a file was put down for it.

Python imports this by itself, at the start of every process that has this folder on its path.
"""

import os
import sys
import threading
import time
from pathlib import Path

ENGINE = "turnstream.workers.engines.slot_engine"


def _wait(order: Path) -> None:
    # Other processes of the worker, such as its guard, have no engine and leave the order alone.
    while not (order.exists() and ENGINE in sys.modules):
        time.sleep(0.01)
    order.unlink()

    def fail(_engine: object) -> None:
        raise MemoryError("sabotage")

    sys.modules[ENGINE].SlotEngine._step = fail  # type: ignore[attr-defined]


if "SABOTAGE" in os.environ and "TURNSTREAM_WORKER_INDEX" in os.environ:
    _ORDER = Path(os.environ["SABOTAGE"]) / f"w{os.environ['TURNSTREAM_WORKER_INDEX']}"
    threading.Thread(target=_wait, args=(_ORDER,), daemon=True).start()
