"""Redis clients that put a prefix before each key and channel, so that several installations share
one Redis.

Scripts have the prefix in their key functions (`turns.lua`); these clients add it to the commands
that are sent without a script. A command that is not listed here is an error, not a key without
its prefix.
"""

from typing import Any, Self, cast

import redis
import redis.asyncio
import redis.asyncio.client
import redis.client

#: Commands whose first argument is a key or a channel, and that have no other.
ONE_KEY = frozenset(
    (
        *("GET", "SET", "GETRANGE", "INCRBY"),
        *("HDEL", "HGET", "HGETALL", "HINCRBY", "HMGET", "HSET"),
        *("LRANGE", "XREVRANGE", "ZRANGE", "ZRANK", "ZREM", "ZREVRANGE", "ZREVRANK"),
        "PUBLISH",
    )
)
#: Commands of which every argument is one.
ALL_KEYS = frozenset(("DEL", "SUBSCRIBE", "UNSUBSCRIBE"))
#: Commands without keys; scripts name theirs themselves.
NO_KEY = frozenset(("EVALSHA", "INFO", "PING", "SCRIPT", "TIME", "WAIT"))


def prefixed(prefix: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a command with the prefix before its keys."""
    command, *rest = arguments
    # A subcommand may be in the same word, as in "SCRIPT LOAD".
    match cast(str, command).partition(" ")[0]:
        case one if one in ONE_KEY:
            return (command, prefix + rest[0], *rest[1:])
        case every if every in ALL_KEYS:
            return (command, *(prefix + key for key in rest))
        case "BLPOP":
            return (command, *(prefix + key for key in rest[:-1]), rest[-1])
        case none if none in NO_KEY:
            return arguments
    raise NotImplementedError(f"it is not known which arguments of {command} are keys")


class _Prefixing:
    """Adds the prefix where a client, a pipeline or a subscription sends a command."""

    key_prefix = ""

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        parent: Any = super()
        return parent.execute_command(*prefixed(self.key_prefix, arguments), **options)


class Pipeline(_Prefixing, redis.client.Pipeline):
    """A pipeline of `Client`."""


class PubSub(_Prefixing, redis.client.PubSub):
    """A subscription of `Client`; messages have the channel's whole name."""


class Client(_Prefixing, redis.Redis):
    """A blocking client."""

    @classmethod
    def of(cls, pool: "redis.ConnectionPool", key_prefix: str) -> Self:
        """Return a client that closes this pool with itself."""
        client = cast(Self, cls.from_pool(pool))
        client.key_prefix = key_prefix
        return client

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipeline = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.key_prefix = self.key_prefix
        return pipeline

    def pubsub(self, **options: Any) -> PubSub:
        pubsub = PubSub(self.connection_pool, **options)
        pubsub.key_prefix = self.key_prefix
        return pubsub


class AsyncPipeline(_Prefixing, redis.asyncio.client.Pipeline):  # type: ignore[misc]
    """A pipeline of `AsyncClient`."""


class AsyncPubSub(_Prefixing, redis.asyncio.client.PubSub):
    """A subscription of `AsyncClient`; messages have the channel's whole name."""


class AsyncClient(_Prefixing, redis.asyncio.Redis):  # type: ignore[misc]
    """An asyncio client."""

    @classmethod
    def of(cls, pool: "redis.asyncio.ConnectionPool", key_prefix: str) -> Self:
        """Return a client that closes this pool with itself."""
        client = cast(Self, cls.from_pool(pool))
        client.key_prefix = key_prefix
        return client

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncPipeline:
        pipeline = AsyncPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipeline.key_prefix = self.key_prefix
        return pipeline

    def pubsub(self, **options: Any) -> AsyncPubSub:
        pubsub = AsyncPubSub(self.connection_pool, **options)
        pubsub.key_prefix = self.key_prefix
        return pubsub


def prefix_of(client: object) -> str:
    """Return what is before every key of a client: nothing, unless it is one of these."""
    return client.key_prefix if isinstance(client, _Prefixing) else ""
