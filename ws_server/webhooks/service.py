"""Opens webhooks for a node: what its routes use, and the task that delivers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from turnstream.turns.connection import connect_async
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.tasks import background
from turnstream.turns.webhook_outbox import WebhookOutbox
from turnstream.turns.webhooks import Webhooks
from turnstream.ws_server.connections.counts import Counts
from turnstream.ws_server.webhooks.addresses import Targets
from turnstream.ws_server.webhooks.deliverer import Deliverer
from turnstream.ws_server.webhooks.sender import Sender

#: Tests of one owner's endpoints at a time.
MOST_TESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookService:
    """What the routes of webhook endpoints use."""

    endpoints: Webhooks
    outbox: WebhookOutbox
    sender: Sender
    #: The tests of endpoints under way, by owner.
    tests: Counts
    targets: Targets


@asynccontextmanager
async def open_webhooks(
    settings: TurnSettings, calls: RedisCalls, targets: Targets
) -> AsyncIterator[WebhookService]:
    """Open webhooks, and deliver until the context ends."""
    client = connect_async(settings.redis_url, key_prefix=settings.key_prefix)
    outbox = WebhookOutbox(client)
    try:
        async with Sender(targets) as sender:
            deliverer = Deliverer(outbox, sender)
            try:
                async with background(webhooks=deliverer.run()):
                    yield WebhookService(
                        endpoints=Webhooks(client, calls),
                        outbox=outbox,
                        sender=sender,
                        tests=Counts(MOST_TESTS),
                        targets=targets,
                    )
            finally:
                await deliverer.end()
    finally:
        await client.aclose()
