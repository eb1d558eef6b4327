"""Says in words why Redis can't be used, from what redis-py raised.

Every sentence about Redis comes from here: what a client is told, and what an operator reads in the
log, at the start and at `/readyz`. None of them has the URL, which may hold a password. The text is
read as well as the type, because an error inside a script arrives as that script's.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

#: What redis-py raises when Redis can't be used.
REDIS_ERRORS = (RedisError, OSError, TimeoutError)


class Cause(StrEnum):
    """Why Redis can't be used; stable words, which `/readyz` shows."""

    UNREACHABLE = "unreachable"
    UNKNOWN_HOST = "unknown_host"
    NO_REPLY = "no_reply"
    CONNECTION_CLOSED = "connection_closed"
    NOT_REDIS = "not_redis"
    NOT_TLS = "not_tls"
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    TLS_FAILED = "tls_failed"
    FILE_MISSING = "file_missing"
    PASSWORD_REQUIRED = "password_required"
    PASSWORD_REFUSED = "password_refused"
    PASSWORD_UNEXPECTED = "password_unexpected"
    NOT_PERMITTED = "not_permitted"
    TOO_MANY_CLIENTS = "too_many_clients"
    LOADING = "loading"
    BUSY = "busy"
    READ_ONLY = "read_only"
    FULL = "full"
    CANNOT_PERSIST = "cannot_persist"
    TOO_FEW_REPLICAS = "too_few_replicas"
    CLUSTER = "cluster"
    NO_PRIMARY = "no_primary"
    OTHER = "other"

    @property
    def is_setting(self) -> bool:
        """Whether somebody has to change a setting before it can work."""
        return self in _SETTINGS

    @property
    def refuses_writes_only(self) -> bool:
        """Whether Redis runs and knows us, and will take writes again without a restart of ours."""
        return self in _REFUSES_WRITES


_SETTINGS = frozenset(
    (
        Cause.NOT_REDIS,
        Cause.NOT_TLS,
        Cause.CERTIFICATE_NOT_TRUSTED,
        Cause.TLS_FAILED,
        Cause.FILE_MISSING,
        Cause.PASSWORD_REQUIRED,
        Cause.PASSWORD_REFUSED,
        Cause.PASSWORD_UNEXPECTED,
        Cause.NOT_PERMITTED,
        Cause.CLUSTER,
    )
)
_REFUSES_WRITES = frozenset(
    (Cause.READ_ONLY, Cause.FULL, Cause.CANNOT_PERSIST, Cause.TOO_FEW_REPLICAS)
)
_URL = "TURNSTREAM_REDIS_URL"
#: For each cause, what is the matter, and what to look at.
_WORDS = {
    Cause.UNREACHABLE: (
        "Redis can't be reached",
        f"is it running, and are host and port in {_URL} right?",
    ),
    Cause.UNKNOWN_HOST: ("the host of Redis has no address", f"look at the host in {_URL}"),
    Cause.NO_REPLY: (
        "Redis does not reply",
        f"is it paused or overloaded, or does a firewall stand between? If {_URL} begins with"
        " rediss://, the port must speak TLS",
    ),
    Cause.CONNECTION_CLOSED: (
        "Redis closed the connection",
        f"is it shutting down? A port that speaks TLS needs rediss:// in {_URL}",
    ),
    Cause.NOT_REDIS: (
        "what answers there does not speak Redis's protocol",
        f"look at the port in {_URL}; one that speaks TLS needs rediss://",
    ),
    Cause.NOT_TLS: (
        "nothing speaks TLS at the port of Redis",
        f"without TLS {_URL} must begin with redis://",
    ),
    Cause.CERTIFICATE_NOT_TRUSTED: (
        "the certificate of Redis is not trusted",
        f"name its authority in {_URL}: rediss://…?ssl_ca_certs=FILE, or in SSL_CERT_FILE",
    ),
    Cause.TLS_FAILED: (
        "TLS with Redis failed",
        f"look at the port and at the options ssl_… in {_URL}",
    ),
    Cause.FILE_MISSING: (
        "a file of the TLS options can't be read",
        f"look at the options ssl_… in {_URL}",
    ),
    Cause.PASSWORD_REQUIRED: (
        "Redis requires a password, and none was given",
        f"write it into {_URL}: redis://USER:PASSWORD@HOST:PORT/0, or :PASSWORD@ without a user",
    ),
    Cause.PASSWORD_REFUSED: (
        "Redis refuses the user or the password",
        f"look at both in {_URL}, and at ACL LIST and requirepass in Redis",
    ),
    Cause.PASSWORD_UNEXPECTED: (
        "Redis has no password, and one was given",
        f"remove it from {_URL}, or set requirepass in Redis",
    ),
    Cause.NOT_PERMITTED: (
        "the user of Redis lacks a command, a key or a channel",
        "docs/redis.md has the rule for ACL SETUSER",
    ),
    Cause.TOO_MANY_CLIENTS: ("Redis has too many clients", "look at maxclients in Redis"),
    Cause.LOADING: ("Redis is loading its data", "it can be used once that is done"),
    Cause.BUSY: (
        "Redis is busy with a script",
        "SCRIPT KILL ends one that hangs; turns have none that runs so long",
    ),
    Cause.READ_ONLY: (
        "Redis is a read-only replica",
        f"{_URL} must lead to the primary: look at INFO replication, REPLICAOF NO ONE promotes it",
    ),
    Cause.FULL: (
        "Redis has no memory left",
        "look at maxmemory in Redis, or let less be kept: TURNSTREAM_STORE_SECONDS",
    ),
    Cause.CANNOT_PERSIST: (
        "Redis can't write its file, and so takes no data",
        "is its disk full? Look at the log of Redis, at dir, and at stop-writes-on-bgsave-error",
    ),
    Cause.TOO_FEW_REPLICAS: (
        "Redis has too few replicas, and so takes no data",
        "look at min-replicas-to-write in Redis, and at INFO replication",
    ),
    Cause.CLUSTER: (
        "Redis is a cluster, and turns need a single one",
        f"{_URL} must lead to a Redis without cluster-enabled",
    ),
    Cause.NO_PRIMARY: (
        "no Sentinel knows the primary",
        f"do the Sentinels run, is the name in {_URL} one of SENTINEL MASTERS, and do they need"
        " the option sentinel_password?",
    ),
    Cause.OTHER: ("Redis refused a command", "look at the log of Redis"),
}
#: What is in the text of an error, and its cause; the first that matches.
_TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        # Also when a Sentinel refuses the password or its certificate is not trusted.
        (r"^No (master|primary) found for", Cause.NO_PRIMARY),
        (r"CERTIFICATE_VERIFY_FAILED", Cause.CERTIFICATE_NOT_TRUSTED),
        (r"WRONG_VERSION_NUMBER|record layer failure", Cause.NOT_TLS),
        (r"READONLY|read.only replica|MASTERDOWN|Link with MASTER is down", Cause.READ_ONLY),
        (r"UNBLOCKED .*instance state changed", Cause.READ_ONLY),
        (r"\bOOM\b|used memory > 'maxmemory'", Cause.FULL),
        (r"MISCONF", Cause.CANNOT_PERSIST),
        (r"NOREPLICAS", Cause.TOO_FEW_REPLICAS),
        (r"NOPERM|no permissions to|executing the script can't|ACL failure", Cause.NOT_PERMITTED),
        (r"without any password configured|no password is set", Cause.PASSWORD_UNEXPECTED),
        (r"NOAUTH|Authentication required", Cause.PASSWORD_REQUIRED),
        (r"WRONGPASS|invalid (username-password|password)", Cause.PASSWORD_REFUSED),
        (r"max number of clients", Cause.TOO_MANY_CLIENTS),
        (r"LOADING|loading the dataset", Cause.LOADING),
        (r"^-?BUSY\b", Cause.BUSY),
        (r"^-?(MOVED|ASK|CROSSSLOT|CLUSTERDOWN)\b", Cause.CLUSTER),
    )
)
#: The cause of an exception of each type whose text says nothing.
_TYPES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Cause], ...] = (
    (socket.gaierror, Cause.UNKNOWN_HOST),
    (ssl.SSLError, Cause.TLS_FAILED),
    ((FileNotFoundError, PermissionError, IsADirectoryError), Cause.FILE_MISSING),
    ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), Cause.CONNECTION_CLOSED),
    (AuthenticationError, Cause.PASSWORD_REFUSED),
    (BusyLoadingError, Cause.LOADING),
    (InvalidResponse, Cause.NOT_REDIS),
    ((RedisTimeoutError, TimeoutError), Cause.NO_REPLY),
    # Both libraries' names of it are subclasses of these.
    (OSError, Cause.UNREACHABLE),
)


@dataclass(frozen=True, slots=True)
class RedisProblem:
    """Why Redis can't be used."""

    cause: Cause
    #: What Redis or TLS said, where it adds to the cause; has no password.
    said: str = ""

    @property
    def summary(self) -> str:
        """What is the matter, for a client: without names of settings."""
        return _WORDS[self.cause][0]

    def __str__(self) -> str:
        summary, advice = _WORDS[self.cause]
        said = f" ({self.said})" if self.said else ""
        return f"{summary}{said}: {advice}"


def problem_of(exc: BaseException, url: str = "") -> RedisProblem:
    """Return why Redis can't be used, from an exception of redis-py or Celery.

    Args:
        url: where Redis is; only whether it speaks TLS there is looked at.
    """
    chain = tuple(_chain(exc))
    cause = next(_causes(chain), Cause.OTHER)
    if cause is Cause.NO_REPLY and url.startswith("rediss") and "connecting" in str(exc):
        # A server without TLS waits for the rest of what it takes for a command.
        cause = Cause.NOT_TLS
    return RedisProblem(cause, _said(cause, chain))


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _causes(chain: tuple[BaseException, ...]) -> Iterator[Cause]:
    for exc in chain:
        code = getattr(exc, "status_code", None) or ""
        text = f"{code} {exc}".strip()
        yield from (cause for pattern, cause in _TEXTS if pattern.search(text))
    # The innermost exception says most: redis-py wraps what the socket raised.
    for exc in reversed(chain):
        yield from (cause for types, cause in _TYPES if isinstance(exc, types))
    if "closed" in str(chain[0]).lower():
        yield Cause.CONNECTION_CLOSED
    if "connecting" in str(chain[0]).lower():
        yield Cause.UNREACHABLE


def _said(cause: Cause, chain: tuple[BaseException, ...]) -> str:
    match cause:
        case Cause.CERTIFICATE_NOT_TRUSTED:
            untrusted = (exc for exc in chain if isinstance(exc, ssl.SSLCertVerificationError))
            return next((exc.verify_message for exc in untrusted), "")
        case Cause.NOT_PERMITTED | Cause.TLS_FAILED | Cause.OTHER:
            # Without the names and line numbers of scripts.
            return re.sub(r"^.*@user_script: ?\d+: ", "", str(chain[0])).rstrip(".")[:200]
        case _:
            return ""
