"""What clients send and receive about client tokens, over HTTP and on the socket."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from turnstream.turns.feed_shapes import FeedId
from turnstream.turns.shapes import ConversationId, Count, ResponseId


class TokenExpiry(Struct, frozen=True, kw_only=True):
    """When a client token expires."""

    seconds: Annotated[int, Meta(ge=10, le=3600)]
    anchor: Literal["created_at"] = "created_at"


class ClientTokenBody(Struct, frozen=True, kw_only=True):
    """Make a client token; bound to something, it is good for that only."""

    expires_after: TokenExpiry | None = None
    conversation: ConversationId | None = None
    response: ResponseId | None = None
    #: A conversation, or any response of a tree, that it may follow and read, and nothing else.
    feed: FeedId | None = None


class ClientToken(Struct, frozen=True, kw_only=True, tag_field="object", tag="client_token"):
    """A client token; its value is shown here only."""

    value: str
    #: Seconds since 1970.
    created_at: int
    expires_at: int
    #: What it is bound to; null: nothing.
    conversation: ConversationId | None
    response: ResponseId | None
    feed: FeedId | None


class TokenExpired(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:token.expired"
):
    """The socket's client token has expired: send another one, or the socket is closed then."""

    closes_in_ms: Count


class TokenRefreshed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:token.refreshed"
):
    """The socket goes on with another token."""

    #: Seconds since 1970; null: it does not expire.
    expires_at: int | None
