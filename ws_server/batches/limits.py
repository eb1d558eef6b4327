"""The bounds of every batch of a node, from the node's settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Bounds of every batch."""

    #: Lines of one batch that are queued or running at a time.
    window: int
    #: Lines of a file.
    lines: int
    #: Bytes of a line.
    line_bytes: int
    #: How long a batch's record is kept after its end.
    kept_seconds: int
