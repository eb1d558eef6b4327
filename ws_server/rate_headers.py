"""Write what an owner has left of its limits per minute into headers, as OpenAI has them."""

from turnstream.turns.limit_use import Left, LimitUse

#: Of each kind, what may be used at all, what is left, and when all of it will be.
RATE_HEADERS = tuple(
    f"x-ratelimit-{fact}-{kind}"
    for kind in ("requests", "tokens", "tokens-day", "tokens-month")
    for fact in ("limit", "remaining", "reset")
)


def rate_headers(use: LimitUse) -> dict[str, str]:
    """Return the headers; none of a kind that is not limited."""
    headers: dict[str, str] = {}
    kinds = {
        "requests": use.requests,
        "tokens": use.tokens,
        "tokens-day": use.day,
        "tokens-month": use.month,
    }
    for kind, left in kinds.items():
        if left is not None:
            headers |= _headers(kind, left)
    return headers


def _headers(kind: str, left: Left) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": str(left.limit),
        f"x-ratelimit-remaining-{kind}": str(left.remaining),
        f"x-ratelimit-reset-{kind}": duration(left.reset_ms),
    }


def duration(ms: int) -> str:
    """Write a time as OpenAI does: `120ms`, `1.5s`, `6m0s`."""
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
