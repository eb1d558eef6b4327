"""Write and read a compacted conversation: one opaque item that is accepted as input.

It is neither secret nor trusted: it holds its owner's own messages, and is validated like any other
input. So it is not encrypted, does not expire, and is accepted by every node.
"""

import base64
import json
from collections.abc import Sequence

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message, Role

#: Version of the format, so that a later release does not misread old items.
_VERSION = "turnstream1."
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


def written(messages: Sequence[Message]) -> str:
    """Return the messages as the content of an item."""
    said = json.dumps([[message.role, message.text] for message in messages], ensure_ascii=False)
    return _VERSION + base64.urlsafe_b64encode(said.encode()).decode()


def read(content: str, param: str) -> list[Message]:
    """Return the messages of an item's content; they are not trusted.

    Raises:
        BadRequest: `written` did not write it, or it was changed.
    """
    try:
        if not content.startswith(_VERSION):
            raise ValueError
        said = json.loads(base64.b64decode(content.removeprefix(_VERSION), b"-_", validate=True))
        return [_message(role, text) for role, text in said]
    except (ValueError, TypeError, RecursionError) as exc:
        raise BadRequest(
            f"'{param}' must be as `POST /v1/responses/compact` returned it.", param=param
        ) from exc


def _message(role: object, text: object) -> Message:
    if not isinstance(text, str):
        raise ValueError
    text.encode()  # no unpaired surrogates
    return Message(_ROLES[_ROLES.index(role)], text)
