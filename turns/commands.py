"""A worker's control channel: cancel and preempt.

Published messages can be lost: a worker that missed one learns the same from its next heartbeat.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from turnstream.turns import keys

#: How long one wait for a message may take.
LISTEN_SECONDS = 1.0


_PREEMPT = "preempt "


@dataclass(frozen=True, slots=True)
class Command:
    """A command about one turn."""

    turn_id: str
    #: True: preempt the turn, which is requeued. False: cancel it.
    preempts: bool = False


def commands(client: "redis.Redis", *, model: str, worker: str) -> Iterator[Command | None]:
    """Yield each command, and None each time that a wait ends without one.

    Raises:
        redis.RedisError: Redis is away; listen again.
    """
    untyped: Any = client
    with untyped.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.worker_channel(model, worker))
        while True:
            message = pubsub.get_message(timeout=LISTEN_SECONDS)
            yield _command(message["data"].decode()) if message else None


def _command(text: str) -> Command:
    return Command(text.removeprefix(_PREEMPT), preempts=text.startswith(_PREEMPT))
