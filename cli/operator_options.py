"""The options of the commands that look at a running service and change it."""

import argparse
from collections.abc import Callable
from typing import Any

from turnstream.turns.webhook_events import EVENT_TYPES

#: Which turns a list has: those that wait or run, those with a status, or all that are kept.
STATES = (
    *("active", "queued", "in_progress"),
    *("completed", "incomplete", "cancelled", "failed", "all"),
)
#: Adds an option that sets a variable.
AddVariable = Callable[..., None]


def add_operator_commands(commands: Any, option: AddVariable, whole: Callable[..., Any]) -> None:
    """Add `status`, `turns`, `workers` and `webhooks`."""
    status = commands.add_parser("status", help="what runs and what waits in a running service")
    status.add_argument("--watch", action="store_true", help="again each second, until Ctrl-C")
    _add_common(status, option)

    turns = commands.add_parser("turns", help="list turns, show, cancel or requeue one")
    actions = turns.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="turns that wait or run, or others")
    listing.add_argument("--owner", metavar="NAME", help="only of this owner")
    listing.add_argument("--model", dest="name", metavar="NAME", help="only for this model")
    listing.add_argument("--state", choices=STATES, default="active", help="which turns (active)")
    listing.add_argument(
        "--limit", metavar="N", type=whole(1, 100_000), default=50, help="at most so many (50)"
    )
    _add_common(listing, option)
    for action, meaning in (
        ("show", "what is known of a turn, but for what was said"),
        ("cancel", "end a turn; what was said so far is kept"),
        ("requeue", "take a turn from its worker; another goes on with it"),
    ):
        one = actions.add_parser(action, help=meaning)
        one.add_argument("id", metavar="ID", help="the response's id")
        _add_common(one, option)

    workers = commands.add_parser("workers", help="list workers, drain or resume one")
    actions = workers.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, meaning in (
        ("list", "all workers"),
        ("drain", "let a worker finish its turns and claim no more"),
        ("resume", "let it claim turns again"),
    ):
        one = actions.add_parser(action, help=meaning)
        if action != "list":
            one.add_argument("worker", metavar="WORKER", help="its name, such as w0")
        if action == "drain":
            one.add_argument(
                "--wait",
                metavar="SECONDS",
                type=whole(0, 86400),
                default=0,
                help="wait so long until it has no turns; exit code 1 if it still has some",
            )
        one.add_argument("--model", dest="name", metavar="NAME", help="only of this model")
        _add_common(one, option)

    webhooks = commands.add_parser("webhooks", help="manage webhooks, and what waits for them")
    _add_webhooks(webhooks, option, whole)


def _add_webhooks(
    webhooks: argparse.ArgumentParser, option: AddVariable, whole: Callable[..., Any]
) -> None:
    actions = webhooks.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the endpoints of an owner")
    listed.add_argument("owner", metavar="OWNER", nargs="?", default="local", help="whose (local)")
    create = actions.add_parser("create", help="make an endpoint; its secret is shown once")
    create.add_argument("owner", metavar="OWNER", help="whose responses and batches it is told of")
    create.add_argument("url", metavar="URL", help="where events are sent")
    create.add_argument("--name", default="", metavar="TEXT", help="what to call it (its host)")
    create.add_argument(
        "--event",
        dest="events",
        action="append",
        choices=EVENT_TYPES,
        metavar="TYPE",
        help="what to tell it of, such as response.completed; again for each further one (all)",
    )
    others = {
        "delete": "delete an endpoint, and what waits for it",
        "rotate": "replace an endpoint's secret; the new one is shown once",
        "test": "send an endpoint a sample event now",
        "deliveries": "what waits for an endpoint, or is being sent",
        "dead-letters": "what was sent to an endpoint for a day in vain",
        "send-again": "send an endpoint's dead letters again",
    }
    parsers = {name: actions.add_parser(name, help=meaning) for name, meaning in others.items()}
    for parser in parsers.values():
        parser.add_argument("id", metavar="ID", help="the endpoint's id")
    parsers["rotate"].add_argument(
        "--keep-old", action="store_true", help="sign with the old secret too, for a day"
    )
    parsers["test"].add_argument(
        "--event",
        dest="event",
        choices=EVENT_TYPES,
        default="response.completed",
        metavar="TYPE",
        help="what the sample is of (response.completed)",
    )
    parsers["send-again"].add_argument(
        "events", metavar="EVENT", nargs="*", help="the events to send again (all)"
    )
    for name in ("deliveries", "dead-letters"):
        parsers[name].add_argument(
            "--limit", metavar="N", type=whole(1, 10_000), default=50, help="at most so many (50)"
        )
    for parser in (listed, create, *parsers.values()):
        _add_common(parser, option)


def _add_common(parser: argparse.ArgumentParser, option: AddVariable) -> None:
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")
    option(parser, "--redis-url", "URL", "where Redis is")
    option(
        parser, "--data-dir", "DIR", "the data directory of `turnstream up`, which has its Redis"
    )
