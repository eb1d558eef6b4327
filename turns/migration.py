"""Migrates what releases without a record version stored, once, at the start of a node.

Stop every process of such a release first: it does not know the new keys. The key `ts:version`
says that the migration is done. Each key is migrated atomically and only once, so nodes that start
at the same time may do it together. Entries of logs keep their old field names and are read by
position until they expire.

Version 3 only adds kinds of items to a turn's input: records of version 2 are read as they are, and
an older release leaves those of version 3 alone.
"""

from typing import Any

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.lua import Script
from turnstream.turns.prefixed_clients import prefix_of
from turnstream.turns.record import VERSION

#: Keys that are migrated in one call, so that Redis has time for others in between.
BATCH_SIZE = 200
#: The version whose keys and fields have the names of today.
_NAMED = 2


async def migrate(client: "redis.asyncio.Redis") -> None:
    """Migrate all keys, unless that was done.

    Raises:
        redis.RedisError: Redis is away; call again.
    """
    known = int(await client.get(keys.version()) or 0)
    if known >= VERSION:
        return
    # Releases without a record version had no prefix.
    if known >= _NAMED or prefix_of(client):
        await client.set(keys.version(), VERSION)
        return
    script = Script(client, "migrate")
    pending: list[str] = []
    found: Any
    async for found in client.scan_iter(match="ts:*", count=BATCH_SIZE):
        pending.append(found.decode())
        if len(pending) == BATCH_SIZE:
            await script(keys=pending)
            pending = []
    await script(keys=pending)
    await client.set(keys.version(), VERSION)
