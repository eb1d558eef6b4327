"""What a compacted conversation looks like on the wire: one item, opaque, that is taken as input.

It is neither secret nor trusted: what it holds its owner said or was told, and when it comes back
it is checked like any other input. So it needs no key, and is good at every node, for ever.
"""

import base64
import json
from collections.abc import Sequence

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message, Role

#: Tells how the rest is to be read; it may change, and old items must not be misread.
_VERSION = "turnstream1."
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


def written(messages: Sequence[Message]) -> str:
    """Write what is kept of a conversation."""
    said = json.dumps([[message.role, message.text] for message in messages], ensure_ascii=False)
    return _VERSION + base64.urlsafe_b64encode(said.encode()).decode()


def read(content: str, param: str) -> list[Message]:
    """Read it again; the texts are as little trusted as any other input.

    Raises:
        BadRequest: it was not written here, or was changed.
    """
    try:
        if not content.startswith(_VERSION):
            raise ValueError
        said = json.loads(base64.b64decode(content.removeprefix(_VERSION), b"-_", validate=True))
        return [_message(role, text) for role, text in said]
    except (ValueError, TypeError, RecursionError) as exc:
        raise BadRequest(
            f"'{param}' must be as `POST /v1/responses/compact` gave it.", param=param
        ) from exc


def _message(role: object, text: object) -> Message:
    if not isinstance(text, str):
        raise ValueError
    text.encode()  # no unpaired surrogates
    return Message(_ROLES[_ROLES.index(role)], text)
