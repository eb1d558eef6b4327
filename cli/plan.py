"""`turnstream plan`: what a model takes and how many people it serves, from its config alone.

Decoding is bound by memory: a step reads all weights once, and of each turn its keys and values. So
the speeds are what a card's bandwidth allows at most; `turnstream check-gpu` measures them.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from turnstream.cli.console import BAD_SETTING
from turnstream.cli.gpu_cards import CARDS, GIB, Card

#: What a worker takes besides weights and turns: Python and torch, and on a GPU its context.
WORKER_BYTES = {"cpu": int(0.45 * GIB), "gpu": int(0.6 * GIB)}
#: Slices a second that one front-end process relays, and sockets that it holds, with room to spare.
NODE_SLICES, NODE_SOCKETS = 8_000, 5_000
#: A worker writes an answer this often, and so are its readers told.
SLICES_PER_SECOND = 25.0
#: Bytes in Redis of an ended turn beside its text, and of a slice in its log; docs/retention.md.
TURN_BYTES, SLICE_BYTES, CHARACTERS_PER_TOKEN = 4_300, 230, 4
BATCHES = (1, 16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    model: Path
    gpu: str | None
    memory: int | None
    bandwidth: float | None
    dtype: str | None
    quantize: str
    context: int | None
    slots: int | None
    tokens_per_second: float
    turn_tokens: int
    readers: int
    turns_per_day: int
    store_days: float
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was found; bytes, tokens and tokens a second."""

    parameters: int
    dtype: str
    weight_bytes: int
    token_bytes: int
    worker_bytes: int
    memory: int
    slots: int
    context: int
    turn_memory_tokens: int
    #: Tokens a second of all turns together at each batch size; empty without a bandwidth.
    speed_at: dict[str, float]
    #: People who read at the wanted speed at the same time, at one worker.
    readers_per_worker: int
    workers: int
    nodes: int
    redis_bytes: int


def run(options: Options) -> int:
    """Print the plan and return the exit code."""
    from turnstream.workers.engine import CheckpointError

    try:
        plan = make_plan(options)
    except CheckpointError as exc:
        print(f"turnstream plan: {exc}", file=sys.stderr)
        return BAD_SETTING
    if options.json:
        print(json.dumps(asdict(plan), indent=1))
    else:
        Console().print(_table(plan, options))
    return 0


def make_plan(options: Options) -> Plan:
    """Return the plan.

    Raises:
        CheckpointError: the config can't be read, or the model does not fit.
    """
    from turnstream.workers.engine import CheckpointError
    from turnstream.workers.engines import planned_size
    from turnstream.workers.engines.quantised_linear import Quantise

    card = CARDS[options.gpu] if options.gpu else Card(options.memory or 0, 0.0, "float32")
    memory, bandwidth = options.memory or card.memory, options.bandwidth or card.bandwidth
    quantize = Quantise(options.quantize)
    dtype = "bfloat16" if quantize is not Quantise.NONE else options.dtype or card.dtype
    settings = planned_size.read_settings(options.model)
    size = planned_size.model_size(settings, dtype=dtype, quantize=quantize)
    other = WORKER_BYTES["gpu" if options.gpu else "cpu"]
    free = memory - other - size.weight_bytes
    if free <= 0:
        raise CheckpointError(
            f"{size.weight_bytes / GIB:.1f} GiB of weights do not fit {memory / GIB:.1f} GiB;"
            " try --quantize, or several cards with --engine vllm"
        )
    room = planned_size.planned_slots(
        settings, dtype=dtype, free=free, slots=options.slots, context=options.context
    )
    read = options.turn_tokens * size.token_bytes
    speeds = (
        {
            str(turns): turns * bandwidth / (size.weight_bytes + turns * read)
            for turns in BATCHES
            if turns <= room.slots
        }
        if bandwidth
        else {}
    )
    readers = min(room.slots, room.tokens // options.turn_tokens)
    if bandwidth:
        step_bytes = bandwidth / options.tokens_per_second
        readers = min(readers, int((step_bytes - size.weight_bytes) // read))
    readers = max(readers, 0)
    slices = options.readers * min(options.tokens_per_second, SLICES_PER_SECOND)
    return Plan(
        parameters=size.parameters,
        dtype=dtype if quantize is Quantise.NONE else str(quantize),
        weight_bytes=size.weight_bytes,
        token_bytes=size.token_bytes,
        worker_bytes=other,
        memory=memory,
        slots=room.slots,
        context=room.context,
        turn_memory_tokens=room.tokens,
        speed_at=speeds,
        readers_per_worker=readers,
        workers=math.ceil(options.readers / readers) if readers else 0,
        nodes=max(1, math.ceil(slices / NODE_SLICES), math.ceil(options.readers / NODE_SOCKETS)),
        redis_bytes=_redis_bytes(options),
    )


def _redis_bytes(options: Options) -> int:
    """Return what the turns of so many days take, and the logs of the last quarter of an hour."""
    text = options.turn_tokens * CHARACTERS_PER_TOKEN
    seconds = options.turn_tokens / options.tokens_per_second
    log = SLICE_BYTES * min(options.turn_tokens, seconds * SLICES_PER_SECOND) + 2 * text
    return int(
        options.turns_per_day * options.store_days * (TURN_BYTES + text)
        + options.turns_per_day / 96 * log
    )


def _table(plan: Plan, options: Options) -> Table:
    table = Table(title=f"{options.model}, {plan.parameters / 1e9:.2f} B parameters", box=None)
    table.add_column("")
    table.add_column("", justify="right")
    rows: list[Sequence[Any]] = [
        (f"weights in {plan.dtype}", _size(plan.weight_bytes)),
        ("keys and values of a token", f"{plan.token_bytes / 1024:.1f} KiB"),
        ("the worker besides", _size(plan.worker_bytes)),
        ("memory", _size(plan.memory)),
        ("slots", plan.slots),
        ("context, tokens", plan.context),
        ("tokens of all turns at the same time", plan.turn_memory_tokens),
    ]
    rows += [
        (f"tokens/s at most, {turns} turns", f"{speed:.0f}")
        for turns, speed in plan.speed_at.items()
    ]
    rows += [
        (
            f"people at {options.tokens_per_second:g} tokens/s, {options.turn_tokens} tokens each,"
            " at a worker",
            plan.readers_per_worker,
        ),
        (f"workers for {options.readers} people", plan.workers or "not at this speed"),
        (f"front-end processes for {options.readers} people", plan.nodes),
        (
            f"Redis, {options.turns_per_day} turns a day kept for {options.store_days:g} days",
            _size(plan.redis_bytes),
        ),
    ]
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _size(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
