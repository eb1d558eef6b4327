"""Reads a page of an owner's ids from a sorted set, by when they were made.

Records go away by themselves and leave their ids behind: whoever finds one dead takes it out.
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
        place = cast("int | None", await rank(key, after))
        start = 0 if place is None else place + 1
    while True:
        found = await client.zrange(key, start, start + PAGE - 1, desc=newest_first)
        page = cast("list[bytes]", found)
        for id in page:
            yield id.decode()
        if len(page) < PAGE:
            return
        start += PAGE
