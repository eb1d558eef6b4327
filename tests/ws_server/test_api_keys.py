"""Keys that are made while the service runs, on a real front end."""

import asyncio
import time
from typing import Any

import httpx2
import redis.asyncio

from tests.ws_server.keyed_client import (
    CONTEXT,
    IN_FORCE_SECONDS,
    WAIT_SECONDS,
    ask,
    bearer,
)
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.connection import connect_async
from turnstream.turns.owner_limits import StoredLimits
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_calls import RedisCalls


async def test_a_key_is_in_force_when_it_is_made_and_not_a_second_after_it_was_revoked(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, key = await stored_keys.create("bob", name="laptop")
    assert (await ask(keyed_http, text)).status_code == 200
    [listed] = await stored_keys.all()
    assert (listed.id, listed.owner, listed.name) == (key.id, "bob", "laptop")
    assert listed.last_used is not None

    assert await stored_keys.revoke(key.id)
    await asyncio.sleep(IN_FORCE_SECONDS)
    assert (await ask(keyed_http, text)).status_code == 401
    assert await stored_keys.all() == []
    assert not await stored_keys.revoke(key.id)


async def test_the_text_of_a_key_is_nowhere_in_redis(
    stored_keys: ApiKeys, redis: "redis.asyncio.Redis"
) -> None:
    text, _ = await stored_keys.create("bob")

    for key in await redis.keys("*"):
        assert text.encode() not in key
        if await redis.type(key) == b"hash":
            stored: Any = redis.hgetall(key)
            assert text.encode() not in b"".join(x for pair in (await stored).items() for x in pair)


async def test_a_key_is_good_for_its_own_tiers_and_its_own_rate(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, _ = await stored_keys.create("bob", tiers=frozenset({"flex"}), requests_per_minute=1)
    other, _ = await stored_keys.create("bob")

    wrong_tier = await ask(keyed_http, text)
    assert (wrong_tier.status_code, wrong_tier.json()["error"]["code"]) == (
        403,
        "service_tier_not_allowed",
    )
    assert (await ask(keyed_http, text, service_tier="flex")).status_code == 200
    too_many = await ask(keyed_http, text, service_tier="flex")
    assert (too_many.status_code, too_many.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await ask(keyed_http, other)).status_code == 200


async def test_an_expired_key_is_unknown(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, _ = await stored_keys.create("bob", expires_at=int(time.time()))

    assert (await ask(keyed_http, text)).status_code == 401


async def test_limits_set_at_run_time_are_in_force_within_a_second_or_two_and_budgets_run_out(
    keyed_http: httpx2.AsyncClient, redis_url: str
) -> None:
    client = connect_async(redis_url)
    limits = StoredLimits(client, RedisCalls(ProblemLog(redis_url)))
    await limits.set("ann", "tokens_per_day=100")
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            # A node without the new limits says nothing about a day.
            while (
                "x-ratelimit-limit-tokens-day"
                not in (first := await ask(keyed_http, "ann")).headers
            ):
                await asyncio.sleep(0.05)
        left = int(first.headers["x-ratelimit-remaining-tokens-day"])
        assert first.headers["x-ratelimit-limit-tokens-day"] == "100"
        # The whole context of this model is reserved for the answer.
        assert left == 100 - CONTEXT
        refused = await ask(keyed_http, "ann")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"

        # What was not used is given back at the end of the turn.
        id = first.json()["id"]
        cancelled = await keyed_http.post(f"/v1/responses/{id}/cancel", headers=bearer("ann"))
        assert cancelled.status_code == 200
        again = await ask(keyed_http, "ann")
        assert again.status_code == 200
    finally:
        await limits.set("ann", "")
        await client.aclose()


async def test_a_request_for_more_answers_than_a_key_may_have_uses_none_of_them(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, _ = await stored_keys.create("bob", requests_per_minute=2)
    question = [{"role": "user", "content": "Hello"}]

    asked = {"messages": question, "n": 3}
    too_many = await keyed_http.post("/v1/chat/completions", json=asked, headers=bearer(text))
    assert too_many.status_code == 429
    for status in (200, 200, 429):
        assert (await ask(keyed_http, text)).status_code == status
