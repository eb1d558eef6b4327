"""Calls that wait long are not refused while Redis replies to others; they are when it stops."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from harness.proxy import Proxy
from tests.turns.conftest import MakeTurn, submitted
from turnstream.turns import redis_calls
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import RedisUnusable
from turnstream.turns.fair_gate import READS
from turnstream.turns.settings import TurnSettings

TIMEOUT_SECONDS = 2.0
#: Applied in both directions, so that a reply takes twice this.
DELAY_SECONDS = 0.2
#: So many calls that the last one waits for twice the reply timeout.
CALLS = int(2 * READS * TIMEOUT_SECONDS / (2 * DELAY_SECONDS))


@pytest.fixture
async def proxy(settings: TurnSettings) -> AsyncIterator[Proxy]:
    async with Proxy(urlsplit(settings.redis_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
async def far_away(settings: TurnSettings, proxy: Proxy) -> AsyncIterator[TurnClient]:
    """A client whose Redis is behind the proxy."""
    url = settings.redis_url.replace(f":{proxy.target}/", f":{proxy.port}/")
    async with open_client(dataclasses.replace(settings, redis_url=url), "node-1") as turn_client:
        yield turn_client


async def test_every_queued_call_is_answered_while_redis_replies(
    far_away: TurnClient, proxy: Proxy, make_turn: MakeTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = await submitted(far_away, make_turn())

    async def ask(times: int) -> list[str]:
        async with asyncio.timeout(30):
            return await asyncio.gather(
                *(far_away.stored.response(turn.id, turn.owner) for _ in range(times))
            )

    await ask(READS)  # so that all connections are there
    monkeypatch.setattr(redis_calls, "REPLY_SECONDS", TIMEOUT_SECONDS)
    proxy.delay = DELAY_SECONDS

    assert len(await ask(CALLS)) == CALLS


async def test_queued_calls_are_refused_when_redis_stops_replying(
    far_away: TurnClient, proxy: Proxy, make_turn: MakeTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = await submitted(far_away, make_turn())
    monkeypatch.setattr(redis_calls, "REPLY_SECONDS", TIMEOUT_SECONDS)
    proxy.freeze()

    async with asyncio.timeout(30):
        found = await asyncio.gather(
            *(far_away.stored.response(turn.id, turn.owner) for _ in range(CALLS)),
            return_exceptions=True,
        )

    assert {type(each) for each in found} == {RedisUnusable}
