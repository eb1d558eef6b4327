"""Looks at a batch's whole file before any of it is answered.

A file may have a million lines, so that a custom_id comes only once is checked on disk: in a
database that SQLite keeps in a file of its own and forgets.
"""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest, ModelNotFound
from turnstream.turns.shapes import Problem
from turnstream.ws_server.batches.line_reader import FileLine, LineReader
from turnstream.ws_server.batches.request import read_request
from turnstream.ws_server.directory import Directory

#: Problems that are told; after so many a file isn't read on.
MOST_PROBLEMS = 100
#: Lines that are looked at before others get the loop.
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a file."""

    total: int
    model: str | None
    #: Nothing, if it is good: each has a code, a message, a parameter and a line.
    problems: list[Problem]


async def validate(
    reader: LineReader, endpoint: str, directory: Directory, most_lines: int
) -> Findings:
    """Read a file to its end, or to more problems than anybody wants to be told.

    Raises:
        Overloaded: Redis is away.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as seen:
        seen.execute("CREATE TABLE seen (custom_id TEXT PRIMARY KEY) WITHOUT ROWID")
        seen.execute("PRAGMA synchronous = OFF")
        seen.execute("PRAGMA journal_mode = OFF")
        seen.execute("BEGIN")
        looking = _Looking(endpoint, directory, most_lines, seen)
        while (lines := await reader.stretch()) and not looking.enough:
            for i in range(0, len(lines), AT_ONCE):
                for line in lines[i : i + AT_ONCE]:
                    await looking.look(line)
                await asyncio.sleep(0)
    return looking.findings()


class _Looking:
    def __init__(
        self,
        endpoint: str,
        directory: Directory,
        most_lines: int,
        seen: sqlite3.Connection,
    ) -> None:
        self._endpoint = endpoint
        self._directory = directory
        self._most_lines = most_lines
        self._seen = seen
        self._total = 0
        #: What the first line asked for, and the model that this is.
        self._asked: str | None = None
        self._model: str | None = None
        self._problems: list[Problem] = []
        self.enough = False

    async def look(self, line: FileLine) -> None:
        if self.enough:
            return
        self._total += 1
        if self._total > self._most_lines:
            self._note(None, f"A file may have {self._most_lines} requests.", "too_many_requests")
            self.enough = True
            return
        try:
            request = read_request(line.text, self._endpoint)
            if self._model is None or request.create.model != self._asked:
                await self._check_model(request.create.model)
            self._check_once(request.custom_id)
        except (BadRequest, ModelNotFound) as exc:
            self._note(line.number, exc.message, exc.code, exc.param)
            self.enough = len(self._problems) >= MOST_PROBLEMS

    def findings(self) -> Findings:
        if self._total == 0:
            self._note(None, "The file has no requests.", "empty_file")
        return Findings(self._total, self._model, self._problems)

    async def _check_model(self, asked: str | None) -> None:
        model = (await self._directory.find(asked)).name
        if self._model is None:
            self._asked, self._model = asked, model
        elif model != self._model:
            raise BadRequest(
                f"All requests of a file must be for one model; this is not for '{self._model}'.",
                code="mismatched_model",
                param="body.model",
            )

    def _check_once(self, custom_id: str) -> None:
        added = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (custom_id,))
        if added.rowcount == 0:
            raise BadRequest(
                "This 'custom_id' was used by an earlier line.",
                code="duplicate_custom_id",
                param="custom_id",
            )

    def _note(
        self, line: int | None, message: str, code: str | None, param: str | None = None
    ) -> None:
        self._problems.append({"code": code, "message": message, "param": param, "line": line})
