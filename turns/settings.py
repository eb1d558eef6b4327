"""What both processes must agree on: where Redis is and how long it keeps things."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnstream.turns import environment
from turnstream.turns.limits import OwnerLimits

DAY = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """Settings of the `turns` room."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    #: How long the events of an ended turn can be replayed.
    log_seconds: int = 900
    #: How long a stored response, and so its conversation, is kept.
    store_seconds: int = 30 * DAY
    #: How long a response with `store: false` is kept for its own socket to go on from.
    unstored_seconds: int = 4500
    #: A worker not heard of for so long is not counted as alive. Workers beat four times a second.
    alive_seconds: float = 3.0
    #: A claimed turn not renewed for so long is given to another worker.
    lease_seconds: float = 5.0
    #: How often a turn may be taken up before it is given up.
    most_attempts: int = 3
    #: A turn that has not ended after so long is given up.
    turn_seconds: int = DAY
    #: Turns that wait for a model of which no worker was heard for so long are given up.
    nobody_seconds: int = 600
    #: How long a turn that is not stored goes on without a reader.
    watch_seconds: int = 60
    #: Turns that may wait for one model; one more is refused with `overloaded`.
    max_queued: int = 100_000
    #: What each owner may ask for.
    limits: OwnerLimits = field(default_factory=OwnerLimits)

    @property
    def alive_ms(self) -> int:
        """`alive_seconds` as the scripts take it."""
        return int(self.alive_seconds * 1000)

    @property
    def retention(self) -> dict[str, int]:
        """How long a log, a stored record and an unstored one are kept: arguments of scripts."""
        return {
            "log_seconds": self.log_seconds,
            "store_seconds": self.store_seconds,
            "unstored_seconds": self.unstored_seconds,
        }

    @property
    def sweep_arguments(self) -> dict[str, int]:
        """Arguments of the sweep script."""
        unserved_ms = self.nobody_seconds * 1000
        return {
            "max_attempts": self.most_attempts,
            "unserved_ms": unserved_ms,
            **self.retention,
        }

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "TurnSettings":
        """Read and check them all.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        whole, seconds = environment.whole, environment.seconds
        url = environment.text(environ, "REDIS_URL", "redis://127.0.0.1:6379/0")
        if not url.startswith(("redis://", "rediss://")):
            raise environment.SettingError("REDIS_URL", "must begin with redis:// or rediss://")
        return cls(
            redis_url=url,
            log_seconds=whole(environ, "LOG_SECONDS", 900, least=1, most=30 * DAY),
            store_seconds=whole(environ, "STORE_SECONDS", 30 * DAY, least=60, most=3650 * DAY),
            lease_seconds=seconds(environ, "LEASE_SECONDS", 5.0, least=1.0),
            most_attempts=whole(environ, "MOST_ATTEMPTS", 3, least=1, most=100),
            turn_seconds=whole(environ, "TURN_SECONDS", DAY, least=1, most=30 * DAY),
            nobody_seconds=whole(environ, "NOBODY_SECONDS", 600, least=1, most=30 * DAY),
            watch_seconds=whole(environ, "WATCH_SECONDS", 60, least=5, most=DAY),
            max_queued=whole(environ, "MAX_QUEUED", 100_000, least=1, most=10_000_000),
            limits=OwnerLimits.read(environ),
        )


def blob_store(url: str) -> str:
    """Give the URL of a blob store as it is, and a folder by its whole path."""
    return url if "://" in url else str(Path(url).expanduser().absolute())
