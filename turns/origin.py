"""Where a turn came from, as its record carries it for logs and traces of its worker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnstream.turns.turn import Claimed


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a turn came from; what is not known is empty."""

    #: The node that it was submitted at.
    node: str = ""
    #: Id of the HTTP request, or of the WebSocket's handshake.
    request_id: str = ""
    #: Context of the trace that it is part of, as W3C Trace Context writes it.
    traceparent: str = ""


def log_fields(claimed: "Claimed") -> dict[str, str | int]:
    """Return what a log line about an attempt says beside its message."""
    return {
        "turn_id": claimed.id,
        "attempt": claimed.attempt,
        "node": claimed.origin.node,
        "request_id": claimed.origin.request_id,
    }
