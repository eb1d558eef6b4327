"""`turnstream status`: models, workers, queue, batches and nodes of a running service."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from turnstream.cli.with_admin import with_admin
from turnstream.turns.admin import Admin, BatchStatus, ServiceStatus, WorkerStatus
from turnstream.turns.overview import ModelOverview, WaitingTier

#: Time between two looks with `--watch`.
WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    watch: bool = False
    json: bool = False


def run(options: Options) -> int:
    """Run `turnstream status`; return the exit code."""
    return with_admin("status", os.environ, lambda admin: show(admin, options))


def show(admin: Admin, options: Options) -> int:
    """Print the status, with `--watch` until Ctrl-C."""
    console = Console()
    try:
        if options.json:
            print_json(asdict(admin.status()))
            while options.watch:
                time.sleep(WATCH_SECONDS)
                print_json(asdict(admin.status()))
        elif options.watch:
            with Live(tables(admin.status()), console=console, auto_refresh=False) as live:
                while True:
                    time.sleep(WATCH_SECONDS)
                    live.update(tables(admin.status()), refresh=True)
        else:
            console.print(tables(admin.status()))
    except KeyboardInterrupt:
        pass
    return 0


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def tables(status: ServiceStatus) -> Group:
    """Return the status as tables."""
    return Group(
        models_table(status.overview.models),
        workers_table(status.workers),
        batches_table(status.batches),
        f"nodes: {', '.join(status.nodes) or 'none'}",
    )


def table(title: str, *columns: str) -> Table:
    """Return an empty table; columns whose name begins with > are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column[0] == ">" else "left")
    return made


def models_table(models: Iterable[ModelOverview]) -> Table:
    """Return a table of models and of those of their tiers in which turns wait."""
    made = table(
        "models", "model", ">workers", ">slots", ">free", "tier", ">waiting", ">oldest", ">eta"
    )
    for model in models:
        capacity = [model.name, *map(str, (model.workers, model.slots, model.free_slots))]
        waiting = [tier for tier in model.tiers if tier.waiting]
        rows: list[WaitingTier | None] = [*waiting] or [None]
        for tier in rows:
            made.add_row(*map(plain, (*capacity, *tier_cells(tier))))
            capacity = [""] * 4
    return made


def tier_cells(tier: WaitingTier | None) -> tuple[str, ...]:
    """Return the cells of a tier; of a model for which nobody waits, empty ones."""
    if tier is None:
        return ("", "0", "", "")
    eta = "unknown" if tier.eta_seconds is None else duration(tier.eta_seconds)
    return (tier.tier, str(tier.waiting), duration(tier.oldest_seconds), eta)


def workers_table(workers: Iterable[WorkerStatus]) -> Table:
    """Return a table of workers."""
    made = table("workers", "model", "worker", "state", ">slots", ">used", ">heartbeat")
    for each in workers:
        used = max(0, each.slots - each.free_slots)
        numbers = (str(each.slots), str(used), f"{duration(each.silent_seconds)} ago")
        made.add_row(*map(plain, (each.model, each.name, each.state, *numbers)))
    return made


def batches_table(batches: Iterable[BatchStatus]) -> Table:
    """Return a table of batches that have not ended."""
    made = table("batches", "batch", "owner", "status", "model", ">completed", ">failed", ">of")
    for each in batches:
        counts = map(str, (each.completed, each.failed, each.total))
        made.add_row(*map(plain, (each.id, each.owner, each.status, each.model, *counts)))
    return made


def plain(text: str) -> str:
    """Return a text without what rich or a terminal would take for more than text."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return shown.replace("[", r"\[")


def duration(seconds: float) -> str:
    """Return a time for people: `0.3s`, `42s`, `7m05s`, `3h20m`, `2d04h`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, smaller in (("d", 86400, "h"), ("h", 3600, "m"), ("m", 60, "s")):
        if whole >= size:
            rest = whole % size // {"h": 3600, "m": 60, "s": 1}[smaller]
            return f"{whole // size}{unit}{rest:02}{smaller}"
    return f"{whole}s"
