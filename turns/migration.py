"""Migrates what releases without a record version stored, once, at the start of a node.

Stop every process of such a release first: it does not know the new keys. The key `ts:version`
says that the migration is done. Each key is migrated atomically and only once, so nodes that start
at the same time may do it together. Entries of logs keep their old field names and are read by
position until they expire.
"""

from typing import Any

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.lua import Script
from turnstream.turns.record import VERSION

#: Keys that are migrated in one call, so that Redis has time for others in between.
BATCH_SIZE = 200


async def migrate(client: "redis.asyncio.Redis") -> None:
    """Migrate all keys, unless that was done.

    Raises:
        redis.RedisError: Redis is away; call again.
    """
    if int(await client.get(keys.version()) or 0) >= VERSION:
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
