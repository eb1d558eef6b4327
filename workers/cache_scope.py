"""Which turns share what an engine has computed.

What one owner's turn leaves in the cache must not be noticed by another owner: `cached_tokens` and
the time to the first token would tell, token by token, how much of a guess is right.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheScope:
    """Which turns share what was computed for their common first tokens."""

    #: Turns of the same salt share all of it.
    salt: str = ""
    #: How many of the prompt's first ids are nobody's own: all turns share these.
    public_tokens: int = 0


#: The scope of turns without an owner.
NO_OWNER = CacheScope()
