"""A worker's ear: which of its turns are to end, or to give their rows back, at once.

Only quick, like all that is published: who did not hear it learns it from the next beat.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from turnstream.turns import keys

#: How long a silence is waited out at a time.
LISTEN_SECONDS = 1.0


_PREEMPT = "preempt "


@dataclass(frozen=True, slots=True)
class Command:
    """What is to become of a turn."""

    turn_id: str
    #: It gives its row back and goes on later; else it ends.
    preempts: bool = False


def commands(client: "redis.Redis", *, model: str, worker: str) -> Iterator[Command | None]:
    """Give what is ordered, and None now and then while there is nothing.

    Raises:
        redis.RedisError: Redis is away; listen again.
    """
    untyped: Any = client
    with untyped.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.worker_channel(model, worker))
        while True:
            message = pubsub.get_message(timeout=LISTEN_SECONDS)
            yield _order(message["data"].decode()) if message else None


def _order(text: str) -> Command:
    return Command(text.removeprefix(_PREEMPT), preempts=text.startswith(_PREEMPT))
