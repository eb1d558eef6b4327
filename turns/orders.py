"""A worker's ear: which of its turns somebody wants to end, the moment they say so.

Only quick, like all that is published: who did not hear it learns it from the next beat.
"""

from collections.abc import Iterator
from typing import Any

import redis

from turns import keys

#: How long a silence is waited out at a time.
LISTEN_SECONDS = 1.0


def orders(client: "redis.Redis", *, model: str, worker: str) -> Iterator[str | None]:
    """Give the ids of turns to be ended, and None now and then while there are none.

    Raises:
        redis.RedisError: Redis is away; listen again.
    """
    untyped: Any = client
    with untyped.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.worker_channel(model, worker))
        while True:
            message = pubsub.get_message(timeout=LISTEN_SECONDS)
            yield message["data"].decode() if message else None
