"""What clients ask on the socket about feeds, and what answers; entries: `turns.feed_shapes`.

A feed has no lane: its `stream_id` only names it, on this socket.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from turnstream.turns.feed_shapes import Cursor, FeedId
from turnstream.turns.shapes import Count, StreamId


class FollowFrame(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.follow"
):
    """Follow a conversation from an entry on; answered with `Followed`, then its entries."""

    stream_id: StreamId | None = None
    #: A conversation, or any response of a tree.
    conversation: FeedId
    #: The cursor of the last entry that the client has, or its number.
    starting_after: Annotated[int, Meta(ge=-1, le=10**15)] | Cursor | None = None
    #: Whether the events of responses that run come as well, with their ids as `stream_id`.
    responses: bool | None = None


class UnfollowFrame(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.unfollow"
):
    """End what was followed under a `stream_id`; answered with `Unfollowed`."""

    stream_id: StreamId | None = None


FRAMES = (FollowFrame, UnfollowFrame)


class Followed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.followed"
):
    """A conversation is followed; its entries come next."""

    conversation: FeedId
    #: Number of its newest entry now.
    newest: Count
    stream_id: StreamId | UnsetType = UNSET


class Unfollowed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.unfollowed"
):
    """Nothing is followed under this `stream_id` any more."""

    stream_id: StreamId | UnsetType = UNSET
