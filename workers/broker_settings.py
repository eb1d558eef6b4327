"""How Celery reaches Redis: the same primary, keys and certificates as our own clients.

By itself Celery speaks TLS with any certificate, and takes only some of redis-py's options from a
URL.
"""

from typing import Any

from redis.connection import parse_url

from turnstream.turns.sentinel_pools import sentinel_options
from turnstream.turns.sentinel_url import SentinelUrl, sentinel_url
from turnstream.turns.settings import TurnSettings
from turnstream.workers.broker_transport import SentinelTransport, Transport

#: Waits of a connection; Celery's own defaults have no end.
CONNECTION_OPTIONS: dict[str, Any] = {
    "socket_timeout": 3,
    "socket_connect_timeout": 1,
    "health_check_interval": 5,
    "retry_on_timeout": False,
}


def broker_settings(settings: TurnSettings) -> dict[str, Any]:
    """Return Celery's settings of the connection."""
    sentinels = sentinel_url(settings.redis_url)
    options: dict[str, Any] = CONNECTION_OPTIONS | {"global_keyprefix": settings.key_prefix}
    transport: type = Transport
    broker_url, plain = _without_options(settings.redis_url), settings.redis_url
    if sentinels is not None:
        broker_url, plain = _of_sentinels(sentinels), sentinels.redis_url
        transport = SentinelTransport
        options |= {"master_name": sentinels.name, "sentinel_kwargs": sentinel_options(sentinels)}
    return {
        "broker_url": broker_url,
        "broker_transport": f"{transport.__module__}:{transport.__name__}",
        "broker_transport_options": options,
        **_tls(plain),
    }


def _without_options(url: str) -> str:
    return url.partition("?")[0]


def _of_sentinels(url: SentinelUrl) -> str:
    """Return one URL for each Sentinel, with what Redis itself needs."""
    login, _, rest = _without_options(url.redis_url).partition("://")[2].rpartition("@")
    database = rest.partition("/")[2]
    return ";".join(
        f"sentinel://{login}{'@' if login else ''}{_bracketed(host)}:{port}/{database}"
        for host, port in url.hosts
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls(url: str) -> dict[str, Any]:
    if not url.startswith("rediss://"):
        return {}
    parse: Any = parse_url
    tls = {name: value for name, value in parse(url).items() if name.startswith("ssl_")}
    return {"broker_use_ssl": {"ssl_cert_reqs": "required", **tls}}
