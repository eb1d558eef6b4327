"""Where a turn came from, as its record carries it for logs and traces of its worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a turn came from; what is not known is empty."""

    #: The node that it was submitted at.
    node: str = ""
    #: Id of the HTTP request, or of the WebSocket's handshake.
    request_id: str = ""
    #: Context of the trace that it is part of, as W3C Trace Context writes it.
    traceparent: str = ""

    def log_fields(self, turn_id: str, attempt: int) -> dict[str, str | int]:
        """Return what a log line about an attempt says beside its message."""
        return {
            "turn_id": turn_id,
            "attempt": attempt,
            "node": self.node,
            "request_id": self.request_id,
        }
