"""What nodes and workers must agree on: where Redis is and how long it keeps things."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from turnstream.turns.connection import check_url
from turnstream.turns.environment import Setting, read_all, seconds, text, whole
from turnstream.turns.limits import OwnerLimits
from turnstream.turns.log_lines import LOG
from turnstream.turns.sentinel_url import SCHEMES, UnreadableSentinelUrl
from turnstream.turns.traces import TRACES

DAY = 24 * 3600


def _redis_url(value: str) -> str:
    if value.partition("://")[0] not in ("redis", "rediss", *SCHEMES):
        raise ValueError("must begin with redis://, rediss://, sentinel:// or rediss+sentinel://")
    try:
        check_url(value)
    except UnreadableSentinelUrl:
        raise
    except (TypeError, ValueError, RedisError):
        # Their texts may have a part of the password.
        raise ValueError(
            "can't be read: look at its port, at the options after '?', and at its password, in"
            " which / ? # @ and % must be percent-encoded"
        ) from None
    return value


def _key_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", value):
        raise ValueError("must be up to 64 letters, digits, '_', '.', ':' or '-'")
    return value


REDIS_URL = Setting(
    "REDIS_URL",
    _redis_url,
    "redis://127.0.0.1:6379/0",
    "where Redis is, or the Sentinels that know it; when it is not set, `turnstream up` starts a"
    " private one. See [redis.md](redis.md)",
)
KEY_PREFIX = Setting(
    "KEY_PREFIX",
    _key_prefix,
    "",
    "what every key and channel in Redis begins with, Celery's included, so that several"
    " installations share one Redis; the same for nodes and workers",
    shown="none",
)
MODEL = Setting(
    "MODEL",
    text,
    "demo",
    "`demo`, `smollm2`, a folder in Hugging Face layout, a `.gguf` file, or a hub name; `NAME=`"
    " before it is what clients call it. `turnstream up` takes several, separated by commas: each"
    " gets its own workers, and requests that name none get the first",
)
METRICS_HOST = Setting(
    "METRICS_HOST",
    text,
    "127.0.0.1",
    "address of the ports that answer nothing but `/metrics`, of a worker and of a node that has"
    " one; whoever reaches them may read the metrics",
)


def _limits(value: str) -> OwnerLimits:
    return OwnerLimits.read({"TURNSTREAM_LIMITS": value})


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """Settings of the `turns` room."""

    redis_url: str = REDIS_URL.field()
    key_prefix: str = KEY_PREFIX.field()
    wait_replicas: int = Setting(
        "WAIT_REPLICAS",
        whole(0, 16),
        0,
        "replicas of Redis that must have a turn before it is accepted (WAIT); see"
        " [redis.md](redis.md#failover)",
    ).field()
    log: str = LOG.field()
    traces: str = TRACES.field()
    lease_seconds: float = Setting(
        "LEASE_SECONDS",
        seconds(1.0),
        5.0,
        "a worker's turns go to other workers when its leases were not renewed for this long",
    ).field()
    max_attempts: int = Setting(
        "MAX_ATTEMPTS", whole(1, 100), 3, "workers that a turn may lose before it fails"
    ).field()
    turn_seconds: int = Setting(
        "TURN_SECONDS", whole(1, 30 * DAY), DAY, "a turn that has not ended after this long fails"
    ).field()
    no_worker_seconds: int = Setting(
        "NO_WORKER_SECONDS",
        whole(1, 30 * DAY),
        600,
        "how long turns wait for a model that no worker serves",
    ).field()
    unread_seconds: int = Setting(
        "UNREAD_SECONDS",
        whole(5, DAY),
        60,
        "how long a turn with `store: false` goes on without a reader",
    ).field()
    max_queued: int = Setting(
        "MAX_QUEUED",
        whole(1, 10_000_000),
        100_000,
        "turns that may wait for a model; one more is refused",
    ).field()
    limits: OwnerLimits = Setting(
        "LIMITS",
        _limits,
        OwnerLimits(),
        "limits of owners, such as `requests_per_minute=60 ann:tiers=default+flex`; see"
        " [wire.md](wire.md#limits)",
        shown="none",
    ).field()
    log_seconds: int = Setting(
        "LOG_SECONDS",
        whole(1, 30 * DAY),
        900,
        "how long the events of an ended response can be replayed",
    ).field()
    store_seconds: int = Setting(
        "STORE_SECONDS",
        whole(60, 3650 * DAY),
        30 * DAY,
        "how long a stored response, and so its conversation, is kept",
    ).field()
    conversation_bytes: int = Setting(
        "CONVERSATION_BYTES",
        whole(1024, 2**40),
        16 * 2**20,
        "what a conversation may have, questions and answers; a longer one can't be continued",
    ).field()
    conversation_turns: int = Setting(
        "CONVERSATION_TURNS",
        whole(1, 1_000_000),
        4000,
        "turns that a conversation may have; a longer one can't be continued",
    ).field()
    steers: int = Setting(
        "STEERS",
        whole(1, 1000),
        32,
        "messages of `response.steer` that may wait for one response",
    ).field()
    steer_bytes: int = Setting(
        "STEER_BYTES",
        whole(1024, 2**30),
        2**20,
        "bytes that all of these may have together",
    ).field()
    #: How long a response with `store: false` is kept for its own socket to continue.
    unstored_seconds: int = 4500
    #: A worker whose last heartbeat is older is not live. Workers send four a second.
    alive_seconds: float = 3.0

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
    def conversation(self) -> dict[str, int]:
        """What a conversation may have: arguments of scripts."""
        return {
            "conversation_bytes": self.conversation_bytes,
            "conversation_turns": self.conversation_turns,
        }

    @property
    def sweep_arguments(self) -> dict[str, int]:
        """Arguments of the sweep script."""
        unserved_ms = self.no_worker_seconds * 1000
        return {
            "max_attempts": self.max_attempts,
            "unserved_ms": unserved_ms,
            **self.retention,
        }

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "TurnSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        return cls(**read_all(cls, environ))


def blob_store(url: str) -> str:
    """Give the URL of a blob store as it is, and a folder by its whole path."""
    return url if "://" in url else str(Path(url).expanduser().absolute())
