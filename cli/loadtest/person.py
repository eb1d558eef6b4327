"""One person: a few questions, each read to its end and checked, with time to think in between.

The clock of an answer starts before the question is sent. A person who reconnects closes the
connection in the middle and reads on from a new one, as a phone does.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

from turnstream.cli.loadtest.observed import Answer
from turnstream.cli.loadtest.options import QUESTIONS, Load
from turnstream.client import AsyncClient, AsyncTurn, ClientError, Event, RequestRefused

#: Slices that a person who reconnects has read before.
READ_BEFORE = 3


class Person:
    """Asks and reads.

    Args:
        url: of the service.
        chance: this person's random choices.
    """

    def __init__(self, url: str, key: str, load: Load, chance: random.Random) -> None:
        self._url = url
        self._key = key
        self._load = load
        self._chance = chance
        self._client = AsyncClient(url, key=key)

    async def talk(self) -> AsyncIterator[Answer]:
        """Yield what each answer was like, until this person has asked enough."""
        previous: str | None = None
        try:
            while True:
                answer, previous = await self._ask(previous)
                yield answer
                # So the number of questions has the mean that is wanted.
                if answer.error or self._chance.random() < 1 / self._load.questions:
                    return
                await asyncio.sleep(self._chance.expovariate(1 / self._think))
        finally:
            await self._client.close()

    @property
    def _think(self) -> float:
        return max(self._load.think_seconds, 1e-6)

    async def _ask(self, previous: str | None) -> tuple[Answer, str | None]:
        reading = Reading(time.perf_counter())
        body = {
            "input": self._chance.choice(QUESTIONS),
            "max_output_tokens": self._load.answer_tokens,
            "previous_response_id": previous,
            "model": self._load.model,
        }
        try:
            turn = await self._client.create(
                **{name: value for name, value in body.items() if value is not None}  # type: ignore[arg-type]
            )
            if self._chance.random() < self._load.reconnecting:
                turn = await self._reconnected(turn, reading)
            async for event in turn.events():
                reading.take(event)
            response = await turn.response()
        except RequestRefused as exc:
            return reading.answer(error=exc.code), None
        except ClientError as exc:
            return reading.answer(error=type(exc).__name__), None
        if response.status == "failed":
            return reading.answer(error=response.error_code or "failed"), None
        reading.check("said at its end", response.text)
        with suppress(ClientError):
            reading.check("stored", (await self._client.retrieve(response.id)).text)
        usage = response.data.get("usage") or {}
        return reading.answer(tokens=usage.get("output_tokens", 0)), response.id

    async def _reconnected(self, turn: AsyncTurn, reading: "Reading") -> AsyncTurn:
        while reading.slices < READ_BEFORE and (event := await turn.next()) is not None:
            reading.take(event)
        if reading.slices < READ_BEFORE:
            return turn  # it has ended before
        await self._client.close()
        self._client = AsyncClient(self._url, key=self._key)
        reading.reconnected = True
        return await self._client.resume(turn.id, starting_after=turn.sequence_number)


class Reading:
    """What was read of an answer so far."""

    def __init__(self, begun: float) -> None:
        self.slices = 0
        self.reconnected = False
        self._begun = begun
        self._last = -1
        self._text = ""
        self._waited: float | None = None
        self._slice_times: list[float] = []
        self._ended: float | None = None
        self._damage = ""

    def take(self, event: Event) -> None:
        """Note an event, and whether it is the one that had to come."""
        now = time.perf_counter() - self._begun
        number, snapshot = event.sequence_number, bool(event.data.get("snapshot"))
        if number != self._last + 1 and not (snapshot and number > self._last):
            self._damage = f"event {number} came after {self._last}"
        self._last = number
        match event.type:
            case "response.in_progress":
                self._waited = now
            case "response.output_text.delta":
                self.slices += 1
                self._text += event.data["delta"]
                self._slice_times.append(now)
        if "response" in event.data:
            self._ended = now

    def check(self, where: str, text: str) -> None:
        """Note whether the text that was read is this one."""
        if text != self._text and not self._damage:
            self._damage = f"{len(self._text)} characters were read, {len(text)} are {where}"

    def answer(self, *, error: str = "", tokens: int = 0) -> Answer:
        """Return what the answer was like."""
        times = self._slice_times
        return Answer(
            waited=self._waited,
            first_slice=times[0] if times else None,
            ended=self._ended,
            gaps=tuple(later - earlier for earlier, later in pairwise(times)),
            tokens=tokens,
            reconnected=self.reconnected,
            error=error,
            damage=self._damage,
        )
