"""Webhook endpoints: how many an owner has, what a change keeps, and which secrets sign."""

import pytest
import redis.asyncio

from turnstream.turns.errors import BadRequest
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.webhook_events import EVENT_TYPES
from turnstream.turns.webhooks import MOST_ENDPOINTS, Endpoint, Webhooks

URL = "https://example.com/hook"


@pytest.fixture
def webhooks(client: "redis.asyncio.Redis", calls: RedisCalls) -> Webhooks:
    return Webhooks(client, calls)


@pytest.fixture
async def endpoint(webhooks: Webhooks) -> Endpoint:
    """An endpoint of ann's for all events."""
    return await webhooks.create("ann", name="all", url=URL, event_types=EVENT_TYPES)


async def test_a_replaced_secret_signs_for_a_day_more_if_it_is_kept(
    webhooks: Webhooks, endpoint: Endpoint
) -> None:
    kept = await webhooks.rotate(endpoint, keep_old=True)
    assert kept is not None
    assert kept.secrets_in_use == (kept.secret, endpoint.secret)
    assert kept.secrets[1][1] - kept.updated_at == 24 * 3600
    # Somebody who did not see that rotation would end the secret it made.
    assert await webhooks.rotate(endpoint, keep_old=True) is None

    alone = await webhooks.rotate(kept, keep_old=False)

    assert alone is not None
    assert alone.secrets_in_use == (alone.secret,)
    assert await webhooks.get(endpoint.id) == alone


async def test_a_change_keeps_what_it_does_not_name(webhooks: Webhooks, endpoint: Endpoint) -> None:
    changed = await webhooks.update(endpoint, event_types=["batch.failed", "batch.failed"])

    assert changed is not None
    assert changed.event_types == ("batch.failed",)
    assert await webhooks.get(endpoint.id, "ann") == changed
    assert await webhooks.get(endpoint.id, "bob") is None
    assert await webhooks.page("ann", after=None, limit=5) == ([changed], False)


async def test_an_owner_has_few_endpoints(webhooks: Webhooks, endpoint: Endpoint) -> None:
    for _ in range(MOST_ENDPOINTS - 1):
        await webhooks.create("ann", name="x", url=URL, event_types=EVENT_TYPES)

    with pytest.raises(BadRequest, match="8 webhook endpoints"):
        await webhooks.create("ann", name="x", url=URL, event_types=EVENT_TYPES)
    first, more = await webhooks.page("ann", after=None, limit=MOST_ENDPOINTS - 1)
    assert more
    assert await webhooks.page("ann", after=first[-1].id, limit=5) == ([endpoint], False)
