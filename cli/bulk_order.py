"""Puts results into the order of their requests, without holding either in memory."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path


def in_order(requests: Path, results: Path, out: Path) -> None:
    """Write the results to `out` in the order of their requests."""
    # Unnamed, it is a file that SQLite removes by itself.
    with closing(sqlite3.connect("", isolation_level=None)) as index:
        index.execute("CREATE TABLE places (custom_id TEXT PRIMARY KEY, place INT) WITHOUT ROWID")
        index.execute("PRAGMA journal_mode = OFF")
        index.execute("BEGIN")
        with results.open("rb") as lines:
            place = 0
            for line in lines:
                id = json.loads(line)["custom_id"]
                index.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (id, place))
                place += len(line)
        with requests.open("rb") as asked, results.open("rb") as told, out.open("wb") as written:
            for line in filter(bytes.strip, asked):
                id = json.loads(line)["custom_id"]
                found = index.execute("SELECT place FROM places WHERE custom_id = ?", (id,))
                for (place,) in found:
                    told.seek(place)
                    written.write(told.readline())
