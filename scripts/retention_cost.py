"""Measures the memory of turns in Redis while they wait, while they are answered, and afterwards.

    python -m scripts.retention_cost [--turns 1000] [--characters 200] [--tokens 256] [--step 1]

It creates the turns in a private Redis with the calls of nodes and workers, and adds up MEMORY
USAGE of their keys. `used_memory` is the growth of the whole server.
"""

import argparse
import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from benchmarks.processes import end_on_sigterm, redis_server
from turnstream.turns import events, keys, response
from turnstream.turns.client import open_client
from turnstream.turns.connection import connect
from turnstream.turns.ids import new_response_id
from turnstream.turns.log import Append, Entry, Final, Log, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Message, Request, Turn

MODEL, OWNER = "measured", "ann"
#: Text and id of a token: about as long as those of English text with Llama 2's tokenizer.
TOKEN, ID = " tok", 12345
#: Turns in one append.
BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The number and the sizes of the turns."""

    turns: int = 1000
    #: Length of each question.
    characters: int = 200
    #: Length of each answer.
    tokens: int = 256
    #: Tokens in a slice.
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Bytes that the turns take at one stage."""

    #: By kind of key; `shared` are those of no single turn.
    keys: Mapping[str, int]
    #: Growth of the whole server.
    used_memory: int

    @property
    def total(self) -> int:
        return sum(self.keys.values())


def measure(redis_url: str, size: Size) -> dict[str, Cost]:
    """Create the turns and return their cost by stage; Redis must be empty."""
    settings = TurnSettings(redis_url=redis_url)
    made = list(_turns(size))
    client = connect(redis_url)
    worker = TurnQueue(client, settings, model=MODEL, worker="w0")
    log = Log(client, settings, worker="w0")
    # Loads the scripts, whose memory is not counted.
    worker.claim(0)
    log.append([])
    before = _used(client)

    def cost() -> Cost:
        return _cost(client, [turn.id for turn in made], _used(client) - before)

    costs = {}
    asyncio.run(_submit_turn(settings, made))
    costs["waiting"] = cost()
    claimed = [found for _ in made if (found := worker.claim(1)) is not None]
    assert len(claimed) == size.turns
    answers = [_answer(turn, size) for turn in claimed]
    for step in range(len(answers[0]) - 1):
        _append(log, (parts[step] for parts in answers))
    costs["answered, all but the end"] = cost()
    _append(log, (parts[-1] for parts in answers))
    costs["ended, log kept"] = cost()
    for turn in made:
        client.delete(keys.log(turn.id))
    costs["ended, log gone"] = cost()
    client.close()
    return costs


def _turns(size: Size) -> Iterator[Turn]:
    for number in range(size.turns):
        yield Turn(
            id=new_response_id(),
            owner=OWNER,
            model=MODEL,
            tier="default",
            input=(Message("user", "?" * size.characters),),
            request=Request(
                instructions=None,
                sampling=SamplingParams(temperature=0.6, top_p=0.9, seed=2**52 + number),
            ),
            previous_response_id=None,
            previous_cached=False,
            store=True,
            metadata={},
            created_at=int(time.time()),
            idempotency_key=f"{number:036d}",
            fingerprint=64 * "f",
        )


async def _submit_turn(settings: TurnSettings, turns: Iterable[Turn]) -> None:
    async with open_client(settings, "node-1") as front:
        for turn in turns:
            async with front.submit(turn):
                pass


def _answer(turn: Claimed, size: Size) -> list[Append]:
    """Return the appends of a worker for a turn, one for each step."""
    seq = turn.seq + 1
    written = [_part(turn, seq, [Entry(event) for event in events.opening(turn.id, seq)])]
    seq += 2
    for first in range(0, size.tokens, size.step):
        count = min(size.step, size.tokens - first)
        entry = Entry(events.text_delta(turn.id, seq, count * TOKEN), count * (ID,))
        written.append(_part(turn, seq, [entry]))
        seq += 1
    text = size.tokens * TOKEN
    item = response.message_item(turn.id, "completed", text)
    finished = response.finished_response(
        turn.response,
        output=(item,),
        incomplete_reason=None,
        input_tokens=size.characters // len(TOKEN),
        cached_tokens=0,
        output_tokens=size.tokens,
        completed_at=int(time.time()),
    )
    closing = events.closing(seq, 0, item)
    closing.append(events.terminal(seq + len(closing), "completed", "null", finished))
    final = Final(status="completed", error="null", response=finished, text=text)
    written.append(_part(turn, seq, [Entry(event) for event in closing], final))
    return written


def _part(turn: Claimed, first: int, entries: list[Entry], final: Final | None = None) -> Append:
    return Append(
        id=turn.id, attempt=turn.attempt, first=first, entries=tuple(entries), final=final
    )


def _append(log: Log, parts: Iterable[Append]) -> None:
    every = list(parts)
    for first in range(0, len(every), BATCH):
        verdicts = log.append(every[first : first + BATCH])
        assert set(verdicts) == {Verdict.OK}, verdicts


def _cost(client: "redis.Redis", turn_ids: Iterable[str], used_memory: int) -> Cost:
    spelled = {"record": keys.turn, "log": keys.log}
    owned = {spell(id): kind for id in turn_ids for kind, spell in spelled.items()}
    names = [name.decode() for name in client.scan_iter(match="ts:*", count=1000)]
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.memory_usage(name, samples=0)
        found: list[int] = pipe.execute()
    taken = dict.fromkeys((*spelled, "idempotency key", "shared"), 0)
    for name, size in zip(names, found, strict=True):
        other = "idempotency key" if name.startswith(keys.idempotency("", "")[:-1]) else "shared"
        taken[owned.get(name, other)] += size
    return Cost(keys=taken, used_memory=used_memory)


def _used(client: "redis.Redis") -> int:
    found: Any = client.info("memory")
    return int(found["used_memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, number in (("turns", 1000), ("characters", 200), ("tokens", 256), ("step", 1)):
        parser.add_argument(f"--{name}", type=int, default=number)
    size = Size(**vars(parser.parse_args()))
    end_on_sigterm()
    with TemporaryDirectory() as name, redis_server(Path(name)) as url:
        costs = measure(url, size)
    kinds = list(next(iter(costs.values())).keys)
    print(f"{size}\n\nbytes for each turn; so kB for a thousand\n")
    print(f"{'':<28}" + "".join(f"{kind:>17}" for kind in (*kinds, "all", "used_memory")))
    for stage, cost in costs.items():
        taken = [*cost.keys.values(), cost.total, cost.used_memory]
        print(f"{stage:<28}" + "".join(f"{value / size.turns:>17,.0f}" for value in taken))


if __name__ == "__main__":
    main()
