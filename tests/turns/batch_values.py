"""What tests pass to a batch store: a plan and commits."""

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.batch import Batch, Commit, Plan
from turnstream.turns.batch_store import BatchStore

PLAN = Plan(
    endpoint="/v1/responses",
    input_file_id="file-1",
    completion_window="24h",
    metadata=None,
    created_at=1_800_000_000,
    expires_at=1_800_086_400,
    output_seconds=60,
)


def commit_of(*lines: tuple[int, str], read: int = 0, part: str = "1.out") -> Commit:
    """Make a commit of lines, each with its turn to delete."""
    return Commit(
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


async def taken_over(redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch) -> Batch:
    """Take a batch from its runner, as if its lease had expired."""
    await redis.zadd(keys.batch_leases(), {batch.id: 0})
    taken = await store.take()
    assert taken is not None
    return taken
