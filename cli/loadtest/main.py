"""Run a load test, print its figures and write its report.

The exit code says whether the target was met; what was lost or doubled makes it another one.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from turnstream.cli.console import DAMAGED, INTERRUPTED, NOT_MET
from turnstream.cli.loadtest.batch_beside import batch_beside
from turnstream.cli.loadtest.crowd import run_crowd
from turnstream.cli.loadtest.observed import Tally
from turnstream.cli.loadtest.options import Load, Options
from turnstream.cli.loadtest.report import page
from turnstream.cli.loadtest.search import find_rate
from turnstream.client import AsyncClient, ClientError

#: Where the service is unless a variable says otherwise.
URL = "http://127.0.0.1:8000"

Summary = dict[str, Any]


def run(options: Options) -> int:
    """Run it and return the exit code."""
    try:
        return asyncio.run(_run(options, os.environ))
    except ClientError as exc:
        print(f"turnstream loadtest: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def _run(options: Options, environ: Mapping[str, str]) -> int:
    url = environ.get("TURNSTREAM_URL", "").strip() or URL
    key = environ.get("TURNSTREAM_KEY", "").strip()
    async with AsyncClient(url, key=key) as client:
        await client.connect(retry=False)
    console = Console(stderr=True)
    runs: list[tuple[Summary, Tally]] = []

    async def once(load: Load) -> bool:
        with console.status("nobody yet") as status:

            def progress(tally: Tally, there: int, seconds: float) -> None:
                status.update(
                    f"{load.people_per_minute:g} people a minute: {seconds:.0f} of"
                    f" {load.seconds:g} s, {there} there, {len(tally.answers)} answers"
                )

            async with AsyncExitStack() as beside:
                if load.batch_lines:
                    await beside.enter_async_context(batch_beside(url, key, load))
                tally, seconds = await run_crowd(url, key, load, progress)
        summary = {
            "people_per_minute": load.people_per_minute,
            **tally.summary(options.target, seconds),
        }
        runs.append((summary, tally))
        console.print(_table(summary))
        return bool(summary["met_target"])

    if options.find_rate:
        best = await find_rate(
            lambda rate: once(replace(options.load, people_per_minute=rate)),
            options.load.people_per_minute,
        )
        print(f"{best:.3g} people a minute meet the target" if best else "no rate met the target")
    else:
        best = options.load.people_per_minute if await once(options.load) else 0.0
    _write(options, runs)
    if any(summary["damaged"] for summary, _ in runs):
        return DAMAGED
    return 0 if best else NOT_MET


def _write(options: Options, runs: list[tuple[Summary, Tally]]) -> None:
    figures = {
        "load": asdict(options.load),
        "target": asdict(options.target),
        "runs": [summary for summary, _ in runs],
    }
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.report is not None:
        options.report.write_text(page(figures, [tally for _, tally in runs]))


def _table(summary: Summary) -> Table:
    table = Table(title=f"{summary['people_per_minute']:g} people a minute")
    for column in ("seconds", "p50", "p95", "p99"):
        table.add_column(column, justify="left" if column == "seconds" else "right")
    for name in ("wait", "first_slice", "gap", "turn"):
        found = summary[f"{name}_seconds"]
        row = (f"{found[each]:.3f}" if found else "-" for each in ("p50", "p95", "p99"))
        table.add_row(name.replace("_", " "), *row)
    errors = ", ".join(f"{times} × {code}" for code, times in summary["errors"].items()) or "none"
    table.caption = (
        f"{summary['people']} people, {summary['answers']} answers"
        f" ({summary['reconnected']} read on from a second connection),"
        f" {summary['tokens_per_second']:.0f} tokens/s, goodput"
        f" {summary['goodput_per_second']:.2f}/s, errors: {errors}, lost or doubled:"
        f" {summary['damaged']}; target {'met' if summary['met_target'] else 'missed'}"
    )
    return table
