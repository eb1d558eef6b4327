"""One message of a conversation.

A ``message`` of ``None`` is a place kept for a reply that is still to come; ``""`` is a reply
that is empty. Only the second is rendered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from turnstream.prompts.chatstream.role_type import RoleType


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatContent:
    """A message with its role and its id."""

    role_type: RoleType
    message: str | None
    #: The name the format prints before the message; empty for Llama 2.
    role: str = ""
    message_id: str | None = None
    #: Further inputs that some instruction models take beside the request.
    child_messages: tuple[str, ...] = ()

    def get_role(self) -> str:
        """Answer ``role``; prompt classes written for ChatStream ask this way."""
        return self.role

    def get_role_type(self) -> RoleType:
        """Answer ``role_type``; prompt classes written for ChatStream ask this way."""
        return self.role_type

    def get_message(self) -> str | None:
        """Answer ``message``; prompt classes written for ChatStream ask this way."""
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """Describe the message in JSON types."""
        return {
            "role_type": self.role_type.value,
            "message": self.message,
            "role": self.role,
            "message_id": self.message_id,
            "child_messages": list(self.child_messages),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild what ``to_dict`` described."""
        return cls(
            role_type=RoleType(data["role_type"]),
            message=data["message"],
            role=data["role"],
            message_id=data["message_id"],
            child_messages=tuple(data["child_messages"]),
        )
