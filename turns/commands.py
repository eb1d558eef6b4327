"""A worker's control channel: cancel, steer, preempt and wake up.

Published messages can be lost: a worker that missed one learns the same from its next heartbeat, or
from Celery's message if it was a wake-up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from turnstream.turns import keys
from turnstream.turns.prefixed_clients import prefix_of

#: How long one wait for a message may take.
LISTEN_SECONDS = 1.0


_PREEMPT = "preempt "
_STEER = "steer "
_WAKE_UP = "wake_up"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a turn."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Steer:
    """End a turn with its next slice: its successor goes on with new input."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Preempt:
    """Preempt a turn, which is requeued."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class WakeUp:
    """Claim turns: at least one waits, and a slot is free."""


Command = Cancel | Steer | Preempt | WakeUp


def commands(client: "redis.Redis", *, model: str, worker: str) -> Iterator[Command | None]:
    """Yield each command, and None each time that a wait ends without one.

    Raises:
        redis.RedisError: Redis is away; listen again.
    """
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    try:
        # Without redis-py's PubSub: a turn waits for what it does beside.
        connection.send_command("SUBSCRIBE", prefix_of(client) + keys.worker_channel(model, worker))
        while True:
            if connection.can_read(timeout=LISTEN_SECONDS):
                kind, _, data = connection.read_response()
                if kind == b"message":
                    yield _command(data.decode())
            else:
                yield None
    finally:
        connection.disconnect()
        pool.release(connection)


def _command(text: str) -> Command:
    if text == _WAKE_UP:
        return WakeUp()
    if text.startswith(_PREEMPT):
        return Preempt(text.removeprefix(_PREEMPT))
    if text.startswith(_STEER):
        return Steer(text.removeprefix(_STEER))
    return Cancel(text)
