"""People arrive at random, independent of how busy the service is: a slow one gets no fewer."""

import asyncio
import random
import time
from collections.abc import Callable

from turnstream.cli.loadtest.observed import Answer, Tally
from turnstream.cli.loadtest.options import Load
from turnstream.cli.loadtest.person import Person

#: People at the same time; further ones are turned away, and the run does not meet its target.
MOST_PEOPLE = 5_000
#: How long a conversation may go on after the last arrival; then it counts as an error.
FINISH_SECONDS = 120.0


async def run_crowd(
    url: str, key: str, load: Load, progress: Callable[[Tally, int, float], None]
) -> tuple[Tally, float]:
    """Let people arrive and talk; return what they saw and how long it took.

    Args:
        progress: called at every arrival with the tally, the people who are there, and the time.
    """
    chance, tally = random.Random(load.seed), Tally()
    begun = time.monotonic()
    talking: set[asyncio.Task[None]] = set()

    async def visit(person: Person) -> None:
        async for answer in person.talk():
            tally.answers.append(answer)
        tally.finished += 1

    async def arrive(tasks: asyncio.TaskGroup) -> None:
        at = 0.0
        while (at := at + chance.expovariate(load.people_per_minute / 60)) < load.seconds:
            await asyncio.sleep(begun + at - time.monotonic())
            if len(talking) >= MOST_PEOPLE:
                tally.turned_away += 1
                continue
            tally.people += 1
            person = Person(url, key, load, random.Random(chance.random()))
            task = tasks.create_task(visit(person))
            talking.add(task)
            task.add_done_callback(talking.discard)
            progress(tally, len(talking), time.monotonic() - begun)

    try:
        async with asyncio.timeout(load.seconds + FINISH_SECONDS), asyncio.TaskGroup() as tasks:
            await arrive(tasks)
    except TimeoutError:
        unfinished = tally.people - tally.finished
        tally.answers += [Answer(error="unfinished")] * unfinished
    return tally, time.monotonic() - begun
