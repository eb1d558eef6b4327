"""Who speaks in a conversation.

A role's *type* decides how a message is rendered; its *name* is only what the format prints
before it, and Llama 2 prints none.
"""

from enum import Enum


class RoleType(Enum):
    """The side of the conversation a message comes from."""

    REQUESTER = "requester"
    RESPONDER = "responder"
    UNKNOWN = "unknown"
