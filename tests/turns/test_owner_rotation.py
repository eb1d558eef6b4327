"""Whatever an owner asks of what is stored, its burst is not answered before another's request."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
import redis.asyncio

from tests.turns.batch_values import PLAN
from tests.turns.conftest import MakeTurn
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.files import File, Files, new_file_id
from turnstream.turns.ids import new_response_id
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.settings import TurnSettings
from turnstream.turns.webhooks import Webhooks

#: Far more than a client has connections, so that the rest waits.
BURST = 300


@dataclass(frozen=True, slots=True)
class Node:
    """What a node's endpoints call, over the same rotation."""

    turns: TurnClient
    files: Files
    batches: BatchStore
    webhooks: Webhooks
    make_turn: MakeTurn

    async def add_file(self, owner: str) -> None:
        id = new_file_id()
        file = File(
            id=id,
            owner=owner,
            filename="f",
            purpose="batch",
            bytes=1,
            created_at=1,
            expires_at=2**31,
        )
        await self.files.add(file)


@pytest.fixture
def node(
    turn_client: TurnClient,
    client: "redis.asyncio.Redis",
    settings: TurnSettings,
    make_turn: MakeTurn,
) -> Node:
    calls, limits = turn_client.calls, CurrentLimits(settings.limits)
    return Node(
        turns=turn_client,
        files=Files(client, calls),
        batches=BatchStore(client, calls, settings, limits),
        webhooks=Webhooks(client, calls),
        make_turn=make_turn,
    )


Ask = Callable[[Node, str], Awaitable[object]]

KINDS: dict[str, Ask] = {
    "an upload is reserved": lambda node, owner: node.files.reserve(
        new_file_id(), owner, 1, most_bytes=0
    ),
    "an upload is stored": lambda node, owner: node.add_file(owner),
    "an upload is given back": lambda node, owner: node.files.release(new_file_id(), owner),
    "a file is read": lambda node, owner: node.files.get(new_file_id(), owner),
    "files are listed": lambda node, owner: node.files.page(
        owner, purpose=None, after=None, limit=9, newest_first=True
    ),
    "tokens are counted": lambda node, owner: node.turns.counts.count(node.make_turn(owner=owner)),
    "a batch is created": lambda node, owner: node.batches.create(owner, PLAN, None),
    "a batch is read": lambda node, owner: node.batches.get(f"batch_{'0' * 32}", owner),
    "batches are listed": lambda node, owner: node.batches.page(owner, after=None, limit=9),
    "a batch is cancelled": lambda node, owner: node.batches.cancel("batch_0", owner),
    "an endpoint is created": lambda node, owner: node.webhooks.create(
        owner, name="x", url="https://example.com", event_types=()
    ),
    "an endpoint is read": lambda node, owner: node.webhooks.get("we_0", owner),
    "endpoints are listed": lambda node, owner: node.webhooks.page(owner, after=None, limit=9),
    "an endpoint is deleted": lambda node, owner: node.webhooks.delete("we_0", owner),
    "a client token is made": lambda node, owner: node.turns.api_keys.create_token(
        None, 0, owner=owner, expires_at=2**31
    ),
    "a steered turn is read": lambda node, owner: node.turns.steering.target(
        new_response_id(), owner
    ),
    "what is left of steering is read": lambda node, owner: node.turns.steering.left(
        new_response_id(), owner, "expired"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_burst_of_an_owner_is_not_answered_before_anothers_request(
    node: Node, kind: str
) -> None:
    answered: list[str] = []
    await node.turns.relay.subscribed.wait()

    async def ask(owner: str) -> None:
        # Most are told that there is no such thing; that is an answer too.
        with suppress(TurnError):
            await KINDS[kind](node, owner)
        answered.append(owner)

    async with asyncio.timeout(60):
        await asyncio.gather(*(ask("ann") for _ in range(BURST)), ask("bob"))

    assert len(answered) == BURST + 1
    assert answered.index("bob") < BURST // 3
