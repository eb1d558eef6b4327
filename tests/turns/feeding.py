"""What a feeder needs to be played by hand: a plan, and marks."""

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.batches import Batch, Plan
from turnstream.turns.feed import Feed, Mark

PLAN = Plan(
    endpoint="/v1/responses",
    input_file_id="file-1",
    completion_window="24h",
    metadata=None,
    created_at=1_800_000_000,
    expires_at=1_800_086_400,
    output_seconds=60,
)


def mark_of(*lines: tuple[int, str], read: int = 0, part: str = "1.out") -> Mark:
    """Make a mark in lines, each with its turn to forget."""
    return Mark(
        completed=len(lines),
        failed=0,
        input_tokens=1,
        cached_tokens=0,
        output_tokens=2,
        next_line=1,
        next_offset=0,
        read=read,
        parts=(part,),
        lines=lines,
    )


async def taken_over(redis: "redis.asyncio.Redis", feed: Feed, batch: Batch) -> Batch:
    """Take a batch from its feeder, as if its lease had run out."""
    await redis.zadd(keys.batch_leases(), {batch.id: 0})
    taken = await feed.take()
    assert taken is not None
    return taken
