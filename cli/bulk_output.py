"""Writes the output of `turnstream bulk`: results and errors of a batch in one file."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from turnstream.cli.bulk_service import BulkService
from turnstream.client import Json


def write_output(
    service: BulkService, batch: Json, requests: Path, out: Path, *, ordered: bool
) -> None:
    """Download results and errors into one file, which appears under its name when complete.

    Raises:
        RequestRefused: the service no longer has a file.
    """
    part = out.with_name(out.name + ".part")
    part.unlink(missing_ok=True)
    part.touch()
    for name in ("output_file_id", "error_file_id"):
        if batch[name] is not None:
            service.download(batch[name], part, lambda: None)
    if ordered:
        sorted_part = out.with_name(out.name + ".sorted")
        sort_results(requests, part, sorted_part)
        sorted_part.replace(part)
    part.replace(out)


def sort_results(requests: Path, results: Path, out: Path) -> None:
    """Write the results to `out` in the order of their requests; neither is held in memory."""
    # SQLite keeps a database without a name in a temporary file and removes it.
    with closing(sqlite3.connect("", isolation_level=None)) as index:
        index.execute("CREATE TABLE offsets (custom_id TEXT PRIMARY KEY, start INT) WITHOUT ROWID")
        index.execute("PRAGMA journal_mode = OFF")
        index.execute("BEGIN")
        with results.open("rb") as lines:
            start = 0
            for line in lines:
                id = json.loads(line)["custom_id"]
                index.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", (id, start))
                start += len(line)
        with requests.open("rb") as lines, results.open("rb") as unsorted, out.open("wb") as output:
            for line in filter(bytes.strip, lines):
                id = json.loads(line)["custom_id"]
                found = index.execute("SELECT start FROM offsets WHERE custom_id = ?", (id,))
                for (start,) in found:
                    unsorted.seek(start)
                    output.write(unsorted.readline())
