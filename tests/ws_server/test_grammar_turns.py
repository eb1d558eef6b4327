"""Grammars are compiled for their owners in rotation: none of one owner keeps out another's."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import Overloaded
from turnstream.ws_server import grammar_check
from turnstream.ws_server.answer_formats import Grammar
from turnstream.ws_server.grammar_check import GrammarCheck


class SlowCheck(GrammarCheck):
    """Compiles no grammar of ann's before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def _wrong(self, grammar: Grammar) -> tuple[str, str] | None:
        if grammar.param == "ann":
            self.begun.set()
            assert self.go_on.wait(30)
        return super()._wrong(grammar)

    def start(self, owner: str, number: int) -> "asyncio.Task[None]":
        grammar = Grammar(Constraint("regex", f"{owner}{number}"), owner)
        return asyncio.create_task(self.check(owner, grammar))


@pytest.fixture
async def check() -> AsyncIterator[SlowCheck]:
    check = SlowCheck()
    yield check
    check.go_on.set()


async def test_a_grammar_of_another_owner_is_compiled_beside_a_burst(check: SlowCheck) -> None:
    # One is compiled, and the rest wait.
    burst = [check.start("ann", number) for number in range(1 + grammar_check._WAITING)]
    await asyncio.to_thread(check.begun.wait, 30)

    async with asyncio.timeout(30):
        await check.start("bob", 0)
        with pytest.raises(Overloaded, match="Too many grammars"):
            await check.start("ann", len(burst))

    check.go_on.set()
    await asyncio.wait(burst)


async def test_a_grammar_is_not_refused_for_the_time_that_it_waited(
    check: SlowCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_check, "SECONDS", 30.0)
    first = check.start("ann", 0)
    await asyncio.to_thread(check.begun.wait, 30)
    monkeypatch.setattr(grammar_check, "SECONDS", 0.2)
    second = check.start("ann", 1)

    await asyncio.wait([second], timeout=0.4)
    waited = not second.done()
    check.go_on.set()

    await asyncio.gather(first, second)
    assert waited
