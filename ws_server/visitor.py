"""An authenticated client, and what its key is good for.

Most requests need a key of the whole owner; a client token that is bound to one conversation or
response is taken by a few only, which say so.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from turnstream.turns.api_key import ApiKey
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ResponseNotFound, TierNotAllowed
from turnstream.turns.turn import Tier, Turn
from turnstream.ws_server.create import Create
from turnstream.ws_server.request_errors import BoundToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """An authenticated client."""

    owner: str
    #: The subprotocol to accept; never the one that carries the key.
    subprotocol: str | None = None
    #: The digest of its key; '' without authentication.
    digest: str = ""
    #: What a key that was made at run time stands for; None: it is a key of the settings.
    key: ApiKey | None = None

    @property
    def is_token(self) -> bool:
        """Whether its key is a client token."""
        return self.key is not None and self.key.is_token

    def check_unbound(self) -> None:
        """Check that the key is one of the whole owner.

        Raises:
            BoundToken: it is a client token for one conversation or response.
        """
        if self.key is not None and self.key.is_bound:
            raise BoundToken(self._bound_to)

    def check_tier(self, tier: Tier) -> None:
        """Check that the key may be used in a tier; the owner's tiers are checked elsewhere.

        Raises:
            TierNotAllowed: it may not.
        """
        if self.key is not None and self.key.tiers is not None and tier not in self.key.tiers:
            raise TierNotAllowed(tier, sorted(self.key.tiers))

    def check_create(self, create: Create) -> None:
        """Check that the key is good for a request for a turn.

        Raises:
            TierNotAllowed: the key may not be used in its tier.
            BoundToken: it is about more than the conversation that the key is bound to.
        """
        if self.key is None:
            return
        self.check_tier(create.tier)
        if self.key.is_bound:
            # A reference may be to an item of any conversation of the owner.
            elsewhere = create.conversation is None or bool(create.references)
            if elsewhere or self.key.follows or create.conversation != self.key.conversation:
                raise BoundToken(self._bound_to)

    def submitting(self, turn: Turn) -> Turn:
        """Return a turn as it is submitted with this key, whose own limit counts it."""
        api_key, limit = self.limited_key
        return replace(turn, api_key=api_key, requests_per_minute=limit) if limit else turn

    @property
    def limited_key(self) -> tuple[str, int]:
        """The id of its key and how many requests a minute that may make; 0: it has no limit."""
        if self.key is None or not self.key.requests_per_minute:
            return "", 0
        return self.key.id, self.key.requests_per_minute

    def check_conversation(self, id: str) -> None:
        """Check that the key is good for a conversation.

        Raises:
            BoundToken: it is bound to something else.
        """
        if self.key is not None and self.key.is_bound and id != self.key.conversation:
            raise BoundToken(self._bound_to)

    def check_feed(self, feed: str) -> None:
        """Check that the key is good for following a feed.

        Raises:
            BoundToken: it is bound to something else.
        """
        if self.key is None or not self.key.is_bound or feed == self.key.conversation:
            return
        if not self.key.follows or feed != self.key.response:
            raise BoundToken(self._bound_to)

    async def check_response(
        self, id: str, turn_client: TurnClient, *, changes: bool = False
    ) -> None:
        """Check that the key is good for a response, perhaps for changing it.

        Raises:
            BoundToken: it is bound to something else, also if there is no such response.
            Overloaded: Redis is away.
        """
        if self.key is None or not self.key.is_bound:
            return
        allowed = id == self.key.response and not self.key.follows
        if self.key.conversation is not None or self.key.follows:
            with suppress(ResponseNotFound):
                found = await turn_client.stored.feed_of(id, self.owner)
                allowed = found in (self.key.conversation, self.key.response)
        if not allowed or (changes and self.key.follows):
            raise BoundToken(self._bound_to)

    async def check_steer(self, id: str, turn_client: TurnClient) -> None:
        """Check that the key is good for adding input to a response, which makes another turn.

        Raises:
            BoundToken: it is bound to something else, or to one response.
            Overloaded: Redis is away.
        """
        if self.key is not None and self.key.response is not None:
            raise BoundToken(self._bound_to)
        await self.check_response(id, turn_client, changes=True)

    @property
    def _bound_to(self) -> str:
        assert self.key is not None
        only = "following " if self.key.follows else ""
        if self.key.conversation is not None:
            return f"{only}conversation '{self.key.conversation}'"
        return f"{only}response '{self.key.response}'"
