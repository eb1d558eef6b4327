"""`turnstream webhooks`: manage webhook endpoints, and look at what waits for them.

It works on the service's Redis, whichever owner's the endpoint is. `test` sends from this machine.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from turnstream.cli.console import BAD_SETTING
from turnstream.cli.keys import BadOption, checked_owner
from turnstream.cli.service_redis import redis_of_service
from turnstream.cli.status import plain, print_json, table
from turnstream.turns.connection import connect_async
from turnstream.turns.errors import TurnError
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import KEY_PREFIX
from turnstream.turns.webhook_events import EVENT_TYPES
from turnstream.turns.webhook_outbox import Listed, WebhookOutbox
from turnstream.turns.webhooks import MOST_ENDPOINTS, Endpoint, Webhooks
from turnstream.ws_server.settings import WEBHOOKS
from turnstream.ws_server.webhooks.addresses import check_url
from turnstream.ws_server.webhooks.samples import sample
from turnstream.ws_server.webhooks.sender import NotSent, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    action: str
    owner: str = ""
    url: str = ""
    name: str = ""
    #: Of `create` event types, of `send-again` ids of events; none is all.
    events: Sequence[str] | None = None
    #: Of `test`.
    event: str = ""
    id: str = ""
    keep_old: bool = False
    limit: int = 50
    json: bool = False


def run(options: Options) -> int:
    """Run one action and return the exit code."""
    url = redis_of_service(os.environ)
    try:
        return asyncio.run(_run(url, options))
    except (BadOption, TurnError) as exc:
        print(f"turnstream webhooks {options.action}: {exc}", file=sys.stderr)
        return BAD_SETTING if isinstance(exc, BadOption) else 1


async def _run(url: str, options: Options) -> int:
    client = connect_async(url, key_prefix=KEY_PREFIX.read(os.environ))
    try:
        known, outbox = Webhooks(client, RedisCalls(ProblemLog(url))), WebhookOutbox(client)
        actions: dict[str, Callable[[], Awaitable[int]]] = {
            "list": lambda: _list(known, options),
            "create": lambda: _create(known, options),
            "delete": lambda: _delete(known, options),
            "rotate": lambda: _rotate(known, options),
            "test": lambda: _test(known, options),
            "deliveries": lambda: _deliveries(known, outbox.waiting, options),
            "dead-letters": lambda: _deliveries(known, outbox.dead_letters, options),
            "send-again": lambda: _send_again(known, outbox, options),
        }
        return await actions[options.action]()
    finally:
        await client.aclose()


async def _list(known: Webhooks, options: Options) -> int:
    found, _ = await known.page(options.owner, after=None, limit=MOST_ENDPOINTS)
    if options.json:
        for endpoint in found:
            print_json(_facts(endpoint))
        return 0
    made = table("", "endpoint", "name", "url", "events", "state", ">dropped")
    for each in found:
        every = set(each.event_types) == set(EVENT_TYPES)
        events = "all" if every else " ".join(each.event_types)
        state, dropped = "failing" if each.failing else "ok", str(sum(each.dropped.values()))
        made.add_row(*map(plain, (each.id, each.name, each.url, events, state, dropped)))
    Console(soft_wrap=True).print(made)
    return 0


async def _create(known: Webhooks, options: Options) -> int:
    try:
        check_url(options.url, WEBHOOKS.read(os.environ))
    except ValueError as exc:
        raise BadOption(f"URL must be {exc} (TURNSTREAM_WEBHOOKS)") from exc
    made = await known.create(
        checked_owner(options.owner),
        name=options.name or urlsplit(options.url).netloc,
        url=options.url,
        event_types=options.events or EVENT_TYPES,
    )
    return _show_secret(made, options)


async def _delete(known: Webhooks, options: Options) -> int:
    found = await _find(known, options)
    if not await known.delete(found.id, found.owner):
        raise _unknown(options)
    return 0


async def _rotate(known: Webhooks, options: Options) -> int:
    rotated = await known.rotate(await _find(known, options), keep_old=options.keep_old)
    if rotated is None:
        raise BadOption("its secret was replaced just now, or it was deleted")
    return _show_secret(rotated, options)


async def _test(known: Webhooks, options: Options) -> int:
    found = await _find(known, options)
    async with Sender(WEBHOOKS.read(os.environ)) as sender:
        try:
            status = await sender.post(found.url, *sample(options.event), found.secrets_in_use)
        except NotSent as exc:
            print(f"turnstream webhooks test: not reached: {exc}", file=sys.stderr)
            return 1
    if options.json:
        print_json({"status_code": status})
    else:
        print(f"it answered {status}")
    return 0 if 200 <= status < 300 else 1


async def _deliveries(
    known: Webhooks, read: Callable[[str, int], Awaitable[list[Listed]]], options: Options
) -> int:
    found = await read((await _find(known, options)).id, options.limit)
    if options.json:
        for each in found:
            print_json(each)
        return 0
    when = "next attempt" if options.action == "deliveries" else "last attempt"
    made = table("", "event", "type", "of", "ended", ">attempts", when, "what was wrong")
    for each in found:
        times = (_moment(each.created_at), str(each.attempts.count), _moment(each.when))
        cells = (each.event, each.type, each.object, *times, each.attempts.error)
        made.add_row(*map(plain, cells))
    # Ids are to be copied, so no line is cut.
    Console(soft_wrap=True).print(made)
    return 0


async def _send_again(known: Webhooks, outbox: WebhookOutbox, options: Options) -> int:
    found = await _find(known, options)
    moved = await outbox.send_again(found.id, options.events or None)
    if options.events and moved < len(options.events):
        raise BadOption(f"{len(options.events) - moved} of these are no dead letters of {found.id}")
    if options.json:
        print_json({"sent_again": moved})
    else:
        print(f"{moved} will be sent again")
    return 0


async def _find(known: Webhooks, options: Options) -> Endpoint:
    found = await known.get(options.id)
    if found is None:
        raise _unknown(options)
    return found


def _unknown(options: Options) -> BadOption:
    return BadOption(f"there is no endpoint {options.id!r}; `turnstream webhooks list` shows them")


def _show_secret(endpoint: Endpoint, options: Options) -> int:
    if options.json:
        print_json(_facts(endpoint) | {"signing_secret": endpoint.secret})
    else:
        print(endpoint.secret)
        print(f"{endpoint.id} of {endpoint.owner}: shown only now, keep it safe", file=sys.stderr)
    return 0


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "owner": endpoint.owner,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "failing": endpoint.failing,
        "dropped": endpoint.dropped,
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
