"""How a client behaves when something is in its way."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long a client tries, and how much it does at once."""

    #: For how long lost connections, and refusals that ask to retry, are retried; 0: not at all.
    retry_seconds: float = 60.0
    #: Turns that run on the socket at once; `create` waits for one of them to end. A service
    #: runs 16 of a socket, unless it was told otherwise.
    turns: int = 16
    #: Interval of pings. A connection that is silent for twice as long is replaced.
    ping_seconds: float = 10.0
    #: Timeout of a handshake, and of each request over HTTP.
    answer_seconds: float = 20.0


def pauses() -> Iterator[float]:
    """Yield the pauses between attempts: longer each time, and never the same for two clients."""
    most = _FIRST_PAUSE_SECONDS
    while True:
        # Clients that lost one server together do not come back together.
        yield random.uniform(most / 2, most)
        most = min(most * 2, _LONGEST_PAUSE_SECONDS)
