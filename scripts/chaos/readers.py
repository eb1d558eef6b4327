"""The readers: each asks one question after the other and resumes whenever it is cut off."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.json_schemas import Schema, make_schema, with_root_definitions
from harness.proxy import Proxy
from harness.reader import Broken, Reader, Refused

Question = dict[str, Any]

#: Readers at the same time.
READERS = 20
#: Number of different questions; each is asked many times.
QUESTIONS = 60
#: One of so many questions asks for JSON of a random schema, and one for calls with such arguments.
CONSTRAINED = 4
MAX_OUTPUT_TOKENS = 400
#: Longest pause of a reader before its next question.
PAUSE_SECONDS = 3.0
#: Like a phone, a reader takes a connection that is silent for so long for lost.
SILENT_SECONDS = 3.0
#: At this temperature the seed matters and answers are still long.
TEMPERATURE = 1
#: Turns of ten that two readers ask for with the same idempotency key.
DOUBLED = 2
PROMPTS = ("Write a long story.", "Tell me about cats.", "Hello", "Count to a hundred.")


def questions(draw: random.Random) -> list[Question]:
    """Return questions with answers of any length; each has a seed, and so only one text."""
    asked: list[Question] = [
        {
            "input": draw.choice(PROMPTS),
            "temperature": TEMPERATURE,
            "seed": draw.randrange(10**9),
            "max_output_tokens": draw.randint(1, MAX_OUTPUT_TOKENS),
        }
        for _ in range(QUESTIONS)
    ]
    for question in asked[::CONSTRAINED]:
        form = {"type": "json_schema", "name": "list", "schema": _list_schema(draw)}
        question["text"] = {"format": form}
    for question in asked[1::CONSTRAINED]:
        listed = _list_schema(draw)
        definitions = listed.pop("$defs", {})
        arguments = {
            "type": "object",
            "properties": {"list": listed},
            "required": ["list"],
            "additionalProperties": False,
            "$defs": definitions,
        }
        tool = {"type": "function", "name": "take", "parameters": arguments, "strict": True}
        question |= {"tools": [tool], "tool_choice": "required"}
    return asked


def _list_schema(draw: random.Random) -> Schema:
    """Return the schema of a list that is long enough to be interrupted."""
    least = draw.randint(1, 12)
    return with_root_definitions(
        {
            "type": "array",
            "items": make_schema(draw.randrange(10**6)),
            "minItems": least,
            "maxItems": least + 4,
        }
    )


def schema_of(question: Question) -> Schema | None:
    """Return the schema that the text of an answer follows; None: it is plain text."""
    schema: Schema | None = question["text"]["format"]["schema"] if "text" in question else None
    return schema


def arguments_schema(question: Question) -> Schema | None:
    """Return the schema of the arguments of an answer's calls; None: it is text."""
    schema: Schema | None = question["tools"][0]["parameters"] if "tools" in question else None
    return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One turn of one reader."""

    question: int
    reader: Reader


class Readers:
    """Ask for `turns` turns, most of them through the proxy."""

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
        """Run the readers until all turns are read."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(READERS):
                tasks.create_task(self._ask_all(self._turns))

    def _reader(self, key: str | None = None) -> Reader:
        url = self._draw.choice(self._urls)
        return Reader(url, idempotency_key=key, silent_seconds=SILENT_SECONDS)

    async def _ask_all(self, turns: Iterator[int]) -> None:
        for number in turns:
            await asyncio.sleep(self._draw.uniform(0, PAUSE_SECONDS))
            question = self._draw.randrange(len(self._asked))
            readers = [self._reader()]
            if self._draw.randrange(10) < DOUBLED:
                readers.append(self._reader(readers[0].key))
            await asyncio.gather(*(self._one(number, question, reader) for reader in readers))
            if len({reader.id for reader in readers if reader.ended}) > 1:
                self.violations.append(f"turn {number}: one idempotency key gave two responses")

    async def _one(self, number: int, question: int, reader: Reader) -> None:
        try:
            await reader.answer(**self._asked[question])
        except (Broken, Refused, TimeoutError) as exc:
            self.violations.append(f"turn {number}: {type(exc).__name__} {exc}")
        else:
            self.read.append(Read(question=question, reader=reader))
        self.totals["resumes"] += reader.resumes
        self.totals["repeated under the same key"] += max(0, reader.retries - 1)
        self.totals["refused for now"] += reader.refusals
