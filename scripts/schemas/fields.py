"""Write into docs/wire.md what becomes of each field of a request, from the table in the code."""

import json
from collections.abc import Mapping
from pathlib import Path

from turnstream.ws_server.fields import (
    CHAT,
    RESPONSES,
    Decision,
    Honoured,
    Refused,
    Returned,
)

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"
_BEGIN = "<!-- Written by `python -m scripts.schemas` from ws_server/fields.py. -->\n"
_END = "<!-- End of what is written. -->\n"


def page() -> str:
    """Return the text of docs/wire.md with its tables of fields as the code has them.

    Raises:
        ValueError: the page has lost the comments around the tables.
    """
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    tables = _table("/v1/responses", RESPONSES) + _table("/v1/chat/completions", CHAT)
    return text[:before] + tables + "\n" + text[after:]


def _table(endpoint: str, decisions: Mapping[str, Decision]) -> str:
    head = f"\n### Fields of `{endpoint}`\n\n| field | | |\n|---|---|---|\n"
    return head + "".join(_row(name, decisions[name]) for name in sorted(decisions))


def _row(name: str, decision: Decision) -> str:
    match decision:
        case Honoured(note):
            kind = "honoured"
        case Returned(note):
            kind = "returned"
        case Refused(hint, harmless):
            kind, note = "refused", hint.replace("'", "`")
            if harmless:
                note += " " + _accepted(harmless)
    return f"| `{name}` | {kind} | {note} |\n"


def _accepted(values: tuple[object, ...]) -> str:
    shown = " and ".join(f"`{json.dumps(value)}`" for value in values)
    return f"{shown} {'is' if len(values) == 1 else 'are'} accepted"
