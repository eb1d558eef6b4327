"""Write and read a compacted conversation: one opaque item that is accepted as input.

It is neither secret nor trusted: it holds its owner's own messages, and is validated like any other
input. So it is not encrypted, does not expire, and is accepted by every node.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Item, items_from_json, items_to_json
from turnstream.ws_server.json_size import check_json_size

#: Version of the format, so that a later release does not misread old items.
_VERSION = "turnstream1."


def written(items: Sequence[Item]) -> str:
    """Return items as the content of an item."""
    return _VERSION + base64.urlsafe_b64encode(items_to_json(items).encode()).decode()


def read(content: str, param: str) -> tuple[Item, ...]:
    """Return the items of an item's content; they are not trusted.

    Raises:
        BadRequest: `written` did not write it, or it was changed; or it has too much in it.
    """
    try:
        if not content.startswith(_VERSION):
            raise ValueError
        said = base64.b64decode(content.removeprefix(_VERSION), b"-_", validate=True)
        check_json_size(said)
        items = items_from_json(said)
        for item in items:
            _check(item)
        return items
    except (ValueError, TypeError, RecursionError) as exc:
        raise BadRequest(
            f"'{param}' must be as `POST /v1/responses/compact` returned it.", param=param
        ) from exc


def _check(item: Item) -> None:
    """Raise ValueError or TypeError unless each field has its type and no unpaired surrogate."""
    # This decodes strictly, where the record is trusted.
    msgspec.convert(asdict(item), type(item), strict=True)
    items_to_json([item]).encode()
