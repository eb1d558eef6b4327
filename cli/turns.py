"""`turnstream turns`: list turns, show one, cancel it, or take it from its worker."""

import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console

from turnstream.cli.status import duration, plain, print_json, table
from turnstream.cli.with_admin import with_admin
from turnstream.turns.admin import Admin

#: Statuses of turns that wait or run.
ACTIVE = ("queued", "in_progress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    action: str = "list"
    #: Of show, cancel and requeue.
    id: str = ""
    owner: str | None = None
    #: Of a list, like what follows.
    name: str | None = None
    state: str = "active"
    limit: int = 50
    json: bool = False


def run(options: Options) -> int:
    """Run `turnstream turns`; return the exit code."""
    return with_admin("turns", os.environ, lambda admin: act(admin, options))


def act(admin: Admin, options: Options) -> int:
    """Do what the command line says."""
    match options.action:
        case "list":
            list_turns(admin, options)
        case "show":
            show_turn(admin, options)
        case "cancel":
            admin.cancel(options.id)
            done(options, "cancelled")
        case "requeue":
            admin.requeue(options.id)
            done(options, "requeued")
    return 0


def list_turns(admin: Admin, options: Options) -> None:
    """Print turns, one a line."""
    whole = options.state in ("active", "all")
    rows = admin.turns(
        active=options.state in ("active", *ACTIVE),
        owner=options.owner,
        model=options.name,
        status=None if whole else options.state,
        limit=options.limit,
    )
    if options.json:
        for row in rows:
            print_json(asdict(row))
        return
    made = table("", "turn", "owner", "model", "tier", "status", ">attempt", "worker", ">age")
    for row in rows:
        age = time.time() - int(row.queued_at) / 1000 if row.queued_at else 0.0
        cells = (row.id, row.owner, row.model, row.tier, row.status, row.attempt, row.worker)
        made.add_row(*map(plain, cells), duration(max(0.0, age)))
    # Ids are to be copied, so no line is cut.
    Console(soft_wrap=True).print(made)


def show_turn(admin: Admin, options: Options) -> None:
    """Print what is known of a turn; what was said is not."""
    record = admin.turn(options.id)
    if options.json:
        print_json(record)
        return
    made = table("", "field", "value")
    for name, value in record.items():
        if name.endswith("_at") and value.isdigit():
            value = datetime.fromtimestamp(int(value) / 1000, UTC).isoformat(
                timespec="milliseconds"
            )
        made.add_row(plain(name), plain(value))
    Console(soft_wrap=True).print(made)


def done(options: Options, what: str) -> None:
    """Print what was done."""
    if options.json:
        print_json({"id": options.id, "done": what})
    else:
        sys.stdout.write(f"{what}: {options.id}\n")
