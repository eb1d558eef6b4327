"""The events that webhooks tell of: each is the end of a response or of a batch."""

from typing import Literal, get_args

EventType = Literal[
    "batch.cancelled",
    "batch.completed",
    "batch.expired",
    "batch.failed",
    "response.cancelled",
    "response.completed",
    "response.failed",
    "response.incomplete",
]
#: All events that endpoints may ask for.
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
