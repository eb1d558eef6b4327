"""Compile the grammars of requests before anything is queued, so that a bad one is refused at once.

The front end has no tokenizer, and needs none: a grammar over bytes compiles if and only if it does
for a model's tokens. The same grammar is compiled once per node.
"""

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import Overloaded, RateLimited
from turnstream.turns.fair_gate import FairGate
from turnstream.turns.tasks import take_error
from turnstream.ws_server import json_schemas
from turnstream.ws_server.answer_formats import Grammar
from turnstream.ws_server.schema_parts import subschemas

#: How long a grammar may take to compile.
SECONDS = 2.0
#: Grammars whose outcome is kept.
KEPT = 1024
#: Grammars that are compiled at once, one of each owner.
_THREADS = 2
#: Grammars of one owner that wait for a thread, at most.
_WAITING = 16


class GrammarCheck:
    """Compiles each grammar once; on the event loop's thread only."""

    def __init__(self) -> None:
        # A thread cannot be ended, but the compiler has limits of its own.
        self._threads = ThreadPoolExecutor(_THREADS, "grammar")
        self._tokenizer = LLTokenizer("byte")
        self._turns = FairGate(total=_THREADS, each=1, waiting=_WAITING)
        #: What is wrong with each grammar, and where; None: nothing. The one used longest ago is
        #: first.
        self._known: OrderedDict[Constraint, tuple[str, str] | None] = OrderedDict()

    async def check(self, owner: str, *grammars: Grammar) -> None:
        """Check the grammars of an owner's request.

        Raises:
            BadRequest: it cannot be compiled, or not in time; it names the place in a schema.
            Overloaded: too many other grammars of this owner are being compiled.
        """
        for grammar in grammars:
            await self._check(owner, grammar)

    async def _check(self, owner: str, grammar: Grammar) -> None:
        if grammar.constraint not in self._known:
            self._known[grammar.constraint] = await self._compiled(owner, grammar)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(grammar.constraint)
        if (wrong := self._known[grammar.constraint]) is not None:
            path, reason = wrong
            raise json_schemas.refused(grammar.param + path, f"cannot be served: {reason}.")

    async def _compiled(self, owner: str, grammar: Grammar) -> tuple[str, str] | None:
        begun = asyncio.get_running_loop().create_future()
        # A thread keeps its place to its end, whoever has gone.
        compiling = asyncio.ensure_future(self._in_turn(owner, grammar, begun))
        compiling.add_done_callback(take_error)
        await asyncio.wait({begun, compiling}, return_when=asyncio.FIRST_COMPLETED)
        try:
            return await asyncio.wait_for(asyncio.shield(compiling), SECONDS)
        except TimeoutError:
            return "", f"it takes more than {SECONDS:.0f} seconds to compile"
        except RateLimited as exc:
            raise Overloaded("Too many grammars are being compiled.") from exc

    async def _in_turn(
        self, owner: str, grammar: Grammar, begun: "asyncio.Future[None]"
    ) -> tuple[str, str] | None:
        async with self._turns.admitted(owner):
            begun.set_result(None)
            if grammar.constraint in self._known:
                # It was compiled while this one waited.
                return self._known[grammar.constraint]
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._wrong, grammar)

    def _wrong(self, grammar: Grammar) -> tuple[str, str] | None:
        """Return what is wrong and where, from the grammar's field on."""
        error = self._error(grammar.constraint)
        if error is None:
            return None
        if grammar.schema is None:
            return "", error
        return self._place(dict(grammar.schema), error), error

    def _place(self, schema: dict[str, Any], error: str) -> str:
        """Return the path of the innermost schema that has the same error by itself."""
        shared: dict[str, Any] = {
            name: schema[name] for name in ("$defs", "definitions", "x-guidance") if name in schema
        }
        by = time.monotonic() + SECONDS / 2
        path = ""
        inner: list[tuple[str, Any]] = list(subschemas(schema))
        while inner and time.monotonic() < by:
            step, found = inner.pop(0)
            if not isinstance(found, dict):
                continue
            # Only the definitions that are not looked into.
            alone = found if step.startswith(("$defs", "definitions")) else shared | found
            if self._error(Constraint.json_schema(alone)) == error:
                path += f".{step}"
                inner = list(subschemas(found))
        return path

    def _error(self, constraint: Constraint) -> str | None:
        source = LLMatcher.grammar_from_lark(constraint.grammar)
        matcher = LLMatcher(self._tokenizer, source, log_level=0)
        if not (error := matcher.get_error()):
            # Some grammars are only found to be too complex when they are used.
            matcher.compute_bitmask()
            error = matcher.get_error()
        return _in_words(error) if error else None


def _in_words(error: str) -> str:
    """Return the compiler's message without its own places."""
    first = error.strip().splitlines()[0]
    return first.rpartition("failed to compile JSON schema: ")[2].rstrip(".:")
