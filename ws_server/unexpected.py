"""Confine an exception that nobody expected to the request that met it.

Without it, one bad frame would end the socket with all its lanes, and one bad line its whole batch.
"""

import logging
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.websockets import WebSocketDisconnect

from turnstream.turns.errors import TurnError

log = logging.getLogger(__name__)


class Unexpected(TurnError):
    """The server met an error of its own; it is in the log under the id in the message."""


@contextmanager
def confined(what: str) -> Iterator[None]:
    """Turn any exception but ours and a disconnect into `Unexpected`, with one line in the log.

    Args:
        what: names the request, for the log.

    Raises:
        Unexpected: something failed that should not have.
    """
    try:
        yield
    except (TurnError, WebSocketDisconnect):
        raise
    except Exception as exc:
        id = f"req_{secrets.token_hex(16)}"
        at = traceback.extract_tb(exc.__traceback__)[-1]
        kind = type(exc).__name__
        # The text of an exception may repeat what a person wrote, so it is not logged.
        place = f"{at.filename}:{at.lineno}"
        log.error("%s: %s failed: %s at %s", id, what, kind, place, extra={"request_id": id})
        log.debug("%s", id, exc_info=exc)
        raise Unexpected(f"The server failed. Its log tells why under {id}.") from exc
