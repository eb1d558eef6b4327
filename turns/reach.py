"""Says `overloaded` to whoever asks while Redis is away."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from turnstream.turns.errors import Overloaded


@contextmanager
def reached() -> Iterator[None]:
    """Translate what redis-py raises.

    Raises:
        Overloaded: Redis can't be reached, or refuses to write.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
