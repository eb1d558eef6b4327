"""What an owner has used of its limits per minute, as the script that counts a turn tells it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit per minute."""

    limit: int
    remaining: int
    #: When nothing of it will be used any more, if nothing more is.
    reset_ms: int

    @classmethod
    def of(cls, limit: int, used: int) -> "Left | None":
        """Return what is left after so much of a limit was used; None without a limit."""
        if not limit:
            return None
        return cls(limit, max(0, limit - used), -(-used * 60_000 // limit))


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What an owner has left per minute, after a turn was counted or refused."""

    requests: Left | None = None
    tokens: Left | None = None
