"""What a key that was made at run time, or a client token, stands for."""

from dataclasses import dataclass

from turnstream.turns.turn import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of an owner. Times are seconds since 1970."""

    #: '' of a client token that was made with a key of the settings.
    id: str
    owner: str
    created_at: int
    name: str = ""
    #: None: it does not expire.
    expires_at: int | None = None
    #: None: all that its owner may use.
    tiers: frozenset[Tier] | None = None
    #: 0: as many as its owner may make.
    requests_per_minute: int = 0
    #: Of a client token: the digest of the key that made it.
    made_with: str = ""
    #: Of a client token: the conversation, or the response, that it is bound to.
    conversation: str | None = None
    response: str | None = None
    #: Of such a token: whether it may only follow that conversation, or the tree that begins with
    #: that response, and read what is in it.
    follows: bool = False
    #: When it was last used, to a minute; None: never. Not of client tokens.
    last_used: int | None = None
    #: Whether it is a client token.
    is_token: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether it is good for one conversation or response only."""
        return self.conversation is not None or self.response is not None
