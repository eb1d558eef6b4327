"""Reads a page of an owner's ids from a sorted set, by when they were made, in the owner's turn.

Records expire and leave their ids behind: a caller that finds no record removes the id.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import cast

import redis.asyncio

from turnstream.turns.redis_calls import RedisCalls

#: Ids that are asked for at once.
PAGE = 100


async def ids_after(
    client: "redis.asyncio.Redis",
    calls: RedisCalls,
    owner: str,
    key: str,
    after: str | None,
    *,
    newest_first: bool = True,
) -> AsyncIterator[str]:
    """Yield ids that come after `after`; an unknown `after` is ignored."""
    start = 0
    if after is not None:
        rank = client.zrevrank if newest_first else client.zrank
        index = cast("int | None", await calls.reply_to(owner, partial(rank, key, after)))
        start = 0 if index is None else index + 1
    while True:
        end = start + PAGE - 1
        read = partial(client.zrange, key, start, end, desc=newest_first)
        page = cast("list[bytes]", await calls.reply_to(owner, read))
        for id in page:
            yield id.decode()
        if len(page) < PAGE:
            return
        start += PAGE
