"""The measure of what turns cost in Redis: it misses no key, and follows their lives."""

import asyncio

from redis.asyncio import Redis

from scripts.retention_cost import Size, measure


async def test_no_key_is_missed_and_each_stage_costs_what_its_keys_do(
    redis_url: str, redis: Redis
) -> None:
    costs = await asyncio.to_thread(measure, redis_url, Size(turns=3, tokens=60, step=2))

    waiting, answered, ended, stored = costs.values()
    assert all(answered.keys.values())
    assert waiting.keys["log"] == 0 < answered.keys["log"] <= ended.keys["log"]
    assert stored.keys["log"] == 0
    assert stored.keys["record"] == ended.keys["record"] > waiting.keys["record"]
    assert waiting.keys["idempotency key"] == stored.keys["idempotency key"]
