"""The options of `turnstream keys`."""

import argparse


def add_keys(keys: argparse.ArgumentParser) -> None:
    """Add the actions of `turnstream keys` and their options."""
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = _action(actions, "create", "make a key of an owner, and print it: it is shown once")
    create.add_argument("owner", metavar="OWNER", help="whose turns, files and batches it opens")
    create.add_argument("--name", default="", metavar="TEXT", help="what to call it in lists")
    create.add_argument(
        "--tiers", metavar="TIER+TIER", help="the service tiers it is good for (the owner's)"
    )
    create.add_argument(
        "--requests-per-minute",
        type=int,
        default=0,
        metavar="N",
        help="turns a minute with this key (as many as its owner may)",
    )
    create.add_argument(
        "--expires", metavar="TIME", help="when it ends, such as 12h or 30d (never)"
    )
    listed = _action(actions, "list", "list the keys, without the keys themselves")
    listed.add_argument("--owner", metavar="OWNER", help="only those of this owner")
    revoke = _action(actions, "revoke", "end a key; every node refuses it within a second")
    revoke.add_argument("id", metavar="ID", help="what `turnstream keys list` calls it")
    limits = _action(actions, "limits", "show or set what owners may use, see docs/wire.md")
    limits.add_argument("owner", nargs="?", metavar="OWNER", help="whose (all that were set)")
    limits.add_argument(
        "limits", nargs="*", metavar="NAME=VALUE", help="such as tokens_per_day=100000 tiers=flex"
    )
    limits.add_argument("--clear", action="store_true", help="back to those of TURNSTREAM_LIMITS")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, meaning: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=meaning)
    parser.add_argument("--json", action="store_true", help="print JSON")
    for flag, shown, about in (
        ("--redis-url", "URL", "where Redis is"),
        ("--data-dir", "DIR", "the data directory of `turnstream up`, which has its private Redis"),
    ):
        variable = "TURNSTREAM_" + flag.removeprefix("--").replace("-", "_").upper()
        parser.add_argument(flag, dest=variable, metavar=shown, help=about)
    return parser
