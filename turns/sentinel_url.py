"""Reads a URL that names Sentinels, which know where the primary Redis is.

`sentinel://USER:PASSWORD@HOST1,HOST2:PORT,HOST3/NAME/DB?OPTIONS`: user and password are those of
Redis; Sentinels that want a password of their own get `sentinel_password`. `rediss+sentinel://`
speaks TLS with both.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import parse_url

SCHEMES = ("sentinel", "redis+sentinel", "rediss+sentinel")
#: Port of a Sentinel, unless the URL has another.
PORT = 26379
#: Options of the URL that are for the Sentinels; the others are for Redis.
_THEIR_OPTIONS = ("sentinel_username", "sentinel_password")


class UnreadableSentinelUrl(ValueError):
    """A URL of Sentinels can't be read; the text has nothing of it, for it may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelUrl:
    """Sentinels, and the primary that they watch."""

    #: Host and port of each Sentinel.
    hosts: tuple[tuple[str, int], ...]
    #: What they call the primary.
    name: str
    #: User, password, database and options of Redis as a URL; its host is not used.
    redis_url: str
    #: User and password of the Sentinels, as options of a connection.
    login: dict[str, str]

    @property
    def tls(self) -> dict[str, Any]:
        """Options of TLS as redis-py has them; empty without TLS."""
        if not self.redis_url.startswith("rediss://"):
            return {}
        return {k: v for k, v in self.options.items() if k.startswith("ssl_")}

    @property
    def options(self) -> dict[str, Any]:
        """Options of a connection to Redis, as redis-py reads them from its URL."""
        parse: Any = parse_url
        read: dict[str, Any] = parse(self.redis_url)
        return {k: v for k, v in read.items() if k not in ("host", "port")}


def sentinel_url(url: str) -> SentinelUrl | None:
    """Read a URL; None if it names no Sentinels but Redis itself.

    Raises:
        UnreadableSentinelUrl: it can't be read.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        return None
    # Not by urlsplit: some releases of Python take several hosts with brackets for a wrong one.
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    login, _, hosts = authority.rpartition("@")
    name, _, database = path.partition("/")
    if not name or not (database or "0").isdecimal():
        raise UnreadableSentinelUrl(
            "must end with the primary's name and its database: sentinel://HOST1,HOST2/NAME/0"
        )
    theirs = {key: value for key, value in parse_qsl(query) if key in _THEIR_OPTIONS}
    ours = urlencode([each for each in parse_qsl(query) if each[0] not in _THEIR_OPTIONS])
    plain = "rediss" if scheme == "rediss+sentinel" else "redis"
    return SentinelUrl(
        hosts=tuple(map(_host, hosts.split(","))),
        name=unquote(name),
        redis_url=f"{plain}://{login}{'@' if login else ''}primary/{database or 0}"
        + (f"?{ours}" if ours else ""),
        login={key.removeprefix("sentinel_"): value for key, value in theirs.items()},
    )


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise UnreadableSentinelUrl(
            "must have HOST or HOST:PORT for each Sentinel, separated by commas"
        )
    return host, port or PORT
