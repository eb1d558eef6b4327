"""`turnstream workers`: list workers, drain one, or let it claim turns again."""

import os
import sys
import time
from dataclasses import asdict, dataclass

from rich.console import Console

from turnstream.cli.status import print_json, workers_table
from turnstream.cli.with_admin import with_admin
from turnstream.turns.admin import Admin, WorkerStatus

#: Time between two looks while a worker finishes its turns.
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    action: str = "list"
    worker: str = ""
    #: The model of a worker whose name others have too.
    name: str | None = None
    #: How long to wait until a worker that is drained has finished its turns.
    wait: float = 0.0
    json: bool = False


def run(options: Options) -> int:
    """Run `turnstream workers`; return the exit code."""
    return with_admin("workers", os.environ, lambda admin: act(admin, options))


def act(admin: Admin, options: Options) -> int:
    """Do what the command line says."""
    match options.action:
        case "drain":
            found = admin.drain(options.worker, options.name)
            return drained(admin, found, options)
        case "resume":
            told(admin.drain(options.worker, options.name, drain=False), options)
        case _:
            workers = [
                each for each in admin.status().workers if options.name in (None, each.model)
            ]
            if options.json:
                for each in workers:
                    print_json(asdict(each))
            else:
                Console().print(workers_table(workers))
    return 0


def drained(admin: Admin, worker: WorkerStatus, options: Options) -> int:
    """Wait until a worker has no turns, if that is wanted; return the exit code."""
    deadline = time.monotonic() + options.wait
    while options.wait and worker.free_slots < worker.slots:
        if time.monotonic() >= deadline:
            told(worker, options)
            return 1
        time.sleep(LOOK_SECONDS)
        worker = admin.drain(worker.name, worker.model)
    told(worker, options)
    return 0


def told(worker: WorkerStatus, options: Options) -> None:
    """Print the state of a worker."""
    if options.json:
        print_json(asdict(worker))
    else:
        used = worker.slots - worker.free_slots
        sys.stdout.write(f"{worker.name} of {worker.model}: {worker.state}, {used} turns\n")
