"""The entries of a conversation's feed; `lua_scripts/feed.lua` writes the same JSON.

They are events of their own, beside those of the responses that they tell of.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from turnstream.turns.shapes import Count, ResponseId, StreamId

FeedId = Annotated[str, Meta(extra_json_schema={"pattern": "^(conv|resp)_[0-9a-f]{32}$"})]
#: Opaque to clients: an entry's number and when it was written.
Cursor = Annotated[str, Meta(pattern="^[0-9]{1,15}-[0-9]{1,18}$")]
ItemId = Annotated[str, Meta(extra_json_schema={"pattern": "^(msg|fc)_"})]


class FeedEntry(Struct, frozen=True, kw_only=True):
    """Common fields of the entries of a feed."""

    #: 0 for a feed's first entry, then one more each time.
    sequence_number: Count
    #: Of this very entry: another that got its number, after a failover that lost this one, has
    #: another cursor. Entries of earlier releases have none.
    cursor: Cursor | UnsetType = UNSET
    #: On a socket, if the request to follow had one.
    stream_id: StreamId | UnsetType = UNSET
    #: The conversation, or the first response of a tree.
    conversation: FeedId


class FeedOpened(
    FeedEntry, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.opened"
):
    """Somebody followed the conversation first; what it had by then comes next."""


class FeedResponseCreated(
    FeedEntry,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="turnstream:conversation.response.created",
):
    """A turn was made."""

    response_id: ResponseId
    #: What it continues; null in a conversation with an id, where that is the response before.
    previous_response_id: ResponseId | None


class FeedResponseEnded(
    FeedEntry,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="turnstream:conversation.response.ended",
):
    """A turn has ended."""

    response_id: ResponseId
    status: Literal["completed", "incomplete", "cancelled", "failed"]


class FeedResponseDeleted(
    FeedEntry,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="turnstream:conversation.response.deleted",
):
    """A response was deleted."""

    response_id: ResponseId


class FeedItemCreated(
    FeedEntry,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="turnstream:conversation.item.created",
):
    """An item was added by hand."""

    item_id: ItemId


class FeedItemDeleted(
    FeedEntry,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="turnstream:conversation.item.deleted",
):
    """An item was removed from the conversation."""

    item_id: ItemId


class ConversationGone(
    FeedEntry, frozen=True, kw_only=True, tag_field="type", tag="turnstream:conversation.deleted"
):
    """The conversation, or the first response of the tree, was deleted; the last entry."""


ENTRIES = (
    FeedOpened,
    FeedResponseCreated,
    FeedResponseEnded,
    FeedResponseDeleted,
    FeedItemCreated,
    FeedItemDeleted,
    ConversationGone,
)


def number_of(cursor: int | str) -> int:
    """Return the number of the entry that a cursor, or its number itself, is of."""
    return cursor if isinstance(cursor, int) else int(cursor.partition("-")[0])
