"""The readers: each asks one question after the other and comes back whenever it is cut off."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.proxy import Proxy
from harness.reader import Broken, Reader, Refused

Question = dict[str, Any]

#: Sockets at a time.
READERS = 20
#: How many different questions there are; each is asked many times over.
QUESTIONS = 60
LONGEST_ANSWER = 400
#: Longest that a reader thinks before the next question.
THINK_SECONDS = 3.0
#: Hot enough that the seed matters, and not so hot that answers are short.
TEMPERATURE = 1
#: Of ten turns, how many are asked from two sockets at once under one key.
TWINS = 2
PROMPTS = ("Write a long story.", "Tell me about cats.", "Hello", "Count to a hundred.")


def questions(draw: random.Random) -> list[Question]:
    """Make questions whose answers have any length, and with a seed one text only."""
    return [
        {
            "input": draw.choice(PROMPTS),
            "temperature": TEMPERATURE,
            "seed": draw.randrange(10**9),
            "max_output_tokens": draw.randint(1, LONGEST_ANSWER),
        }
        for _ in range(QUESTIONS)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One turn as one reader had it."""

    question: int
    reader: Reader


class Crowd:
    """Asks `turns` questions through the proxy and directly."""

    def __init__(
        self, url: str, proxy: Proxy, asked: list[Question], turns: int, draw: random.Random
    ) -> None:
        self.read: list[Read] = []
        self.violations: list[str] = []
        self.totals: Counter[str] = Counter()
        self._urls = (f"http://127.0.0.1:{proxy.port}",) * 3 + (url,)
        self._asked = asked
        self._turns = iter(range(turns))
        self._draw = draw

    async def run(self) -> None:
        """Ask until all turns are used up."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(READERS):
                tasks.create_task(self._ask_on(self._turns))

    async def _ask_on(self, turns: Iterator[int]) -> None:
        for number in turns:
            await asyncio.sleep(self._draw.uniform(0, THINK_SECONDS))
            question = self._draw.randrange(len(self._asked))
            readers = [Reader(self._draw.choice(self._urls))]
            if self._draw.randrange(10) < TWINS:
                key = readers[0].key
                readers.append(Reader(self._draw.choice(self._urls), idempotency_key=key))
            await asyncio.gather(*(self._one(number, question, reader) for reader in readers))
            if len({reader.id for reader in readers if reader.ended}) > 1:
                self.violations.append(f"turn {number}: one key made two responses")

    async def _one(self, number: int, question: int, reader: Reader) -> None:
        try:
            await reader.answer(**self._asked[question])
        except (Broken, Refused, TimeoutError) as exc:
            self.violations.append(f"turn {number}: {type(exc).__name__} {exc}")
        else:
            self.read.append(Read(question=question, reader=reader))
        self.totals["resumes"] += reader.resumes
        self.totals["asked again under the same key"] += max(0, reader.retries - 1)
        self.totals["told to come back later"] += reader.refusals
