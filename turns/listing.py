"""Reads a page of an owner's ids from a sorted set, by when they were made.

Records expire and leave their ids behind: a caller that finds no record removes the id.
"""

from collections.abc import AsyncIterator
from typing import cast

import redis.asyncio

#: Ids that are asked for at once.
PAGE = 100


async def ids_after(
    client: "redis.asyncio.Redis", key: str, after: str | None, *, newest_first: bool = True
) -> AsyncIterator[str]:
    """Yield ids that come after `after`; an unknown `after` is ignored."""
    start = 0
    if after is not None:
        rank = client.zrevrank if newest_first else client.zrank
        index = cast("int | None", await rank(key, after))
        start = 0 if index is None else index + 1
    while True:
        found = await client.zrange(key, start, start + PAGE - 1, desc=newest_first)
        page = cast("list[bytes]", found)
        for id in page:
            yield id.decode()
        if len(page) < PAGE:
            return
        start += PAGE
