"""Validates a batch's whole file before any line is submitted.

This is the first of two passes; see `line_source`. It parses each line once and keeps only the
custom_ids, to find duplicates: on disk, in a temporary SQLite database, since a file may have a
million lines.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest, ModelNotFound
from turnstream.turns.shapes import Problem
from turnstream.ws_server.batches.line_reader import FileLine, LineReader
from turnstream.ws_server.batches.request import STEP_SECONDS, read_line
from turnstream.ws_server.batches.retry import retry_while_unavailable
from turnstream.ws_server.create import Create
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.unexpected import Unexpected, confined

#: Most problems that are reported; the rest of the file is not read.
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Findings:
    """What validation found in a file."""

    total: int
    model: str | None
    #: Empty if the file is valid.
    problems: list[Problem]


def problem(code: str | None, message: str, param: str | None, line: int | None = None) -> Problem:
    """Make a problem of a batch's file; of the whole file if no line is given."""
    return Problem(code=code, message=message, param=param, line=line)


async def validate(
    reader: LineReader,
    owner: str,
    endpoint: str,
    directory: Directory,
    grammars: GrammarCheck,
    most_lines: int,
) -> Findings:
    """Read a file to its end, or until there are too many problems.

    Raises:
        Overloaded: Redis is unavailable.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as seen:
        seen.execute("CREATE TABLE seen (custom_id TEXT PRIMARY KEY) WITHOUT ROWID")
        seen.execute("PRAGMA synchronous = OFF")
        seen.execute("PRAGMA journal_mode = OFF")
        seen.execute("BEGIN")
        validator = _Validator(owner, endpoint, directory, grammars, most_lines, seen)
        while (lines := await reader.next_lines()) and not validator.full:
            until = time.monotonic() + STEP_SECONDS
            for line in lines:
                await validator.check(line)
                if time.monotonic() > until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + STEP_SECONDS
    return validator.findings()


class _Validator:
    def __init__(
        self,
        owner: str,
        endpoint: str,
        directory: Directory,
        grammars: GrammarCheck,
        most_lines: int,
        seen: sqlite3.Connection,
    ) -> None:
        self._owner = owner
        self._endpoint = endpoint
        self._directory = directory
        self._grammars = grammars
        self._most_lines = most_lines
        self._seen = seen
        self._total = 0
        #: The model's name in the first line, and the model that it means.
        self._requested: str | None = None
        self._model: str | None = None
        self._problems: list[Problem] = []
        self.full = False

    async def check(self, line: FileLine) -> None:
        if self.full:
            return
        self._total += 1
        if self._total > self._most_lines:
            self._add_problem(
                None, f"A file may have {self._most_lines} requests.", "too_many_requests"
            )
            self.full = True
            return
        try:
            with confined(f"line {line.number} of a batch's file"):
                custom_id, create = await read_line(line.text, self._endpoint)
            await self._check_grammar(create)
            if self._model is None or create.model != self._requested:
                await self._check_model(create.model)
            self._check_unique(custom_id)
        except (BadRequest, ModelNotFound, Unexpected) as exc:
            self._add_problem(line.number, exc.message, exc.code, exc.param)
            self.full = len(self._problems) >= MOST_PROBLEMS

    def findings(self) -> Findings:
        if self._total == 0:
            self._add_problem(None, "The file has no requests.", "empty_file")
        return Findings(self._total, self._model, self._problems)

    async def _check_model(self, requested: str | None) -> None:
        model = (await self._directory.find(requested)).name
        if self._model is None:
            self._requested, self._model = requested, model
        elif model != self._model:
            raise BadRequest(
                f"All requests of a file must be for one model; this is not for '{self._model}'.",
                code="mismatched_model",
                param="body.model",
            )

    async def _check_grammar(self, create: Create) -> None:
        await retry_while_unavailable(lambda: self._grammars.check(self._owner, *create.grammars))

    def _check_unique(self, custom_id: str) -> None:
        added = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (custom_id,))
        if added.rowcount == 0:
            raise BadRequest(
                "This 'custom_id' was used by an earlier line.",
                code="duplicate_custom_id",
                param="custom_id",
            )

    def _add_problem(
        self, line: int | None, message: str, code: str | None, param: str | None = None
    ) -> None:
        self._problems.append(problem(code, message, param, line))
