"""What an owner has used of its limits per minute and budgets, as the script of a turn tells it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit per minute or of a budget."""

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

    @classmethod
    def of_budget(cls, limit: int, used: int, ends_ms: int) -> "Left | None":
        """Return what is left of a budget that begins anew then; None without one."""
        return cls(limit, max(0, limit - used), ends_ms) if limit else None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What an owner has left per minute, after a turn was counted or refused."""

    requests: Left | None = None
    tokens: Left | None = None
    day: Left | None = None
    month: Left | None = None


#: What is left where nothing is limited per minute.
NO_LIMITS = LimitUse()
