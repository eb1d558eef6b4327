"""What `/v1/conversations` takes and what it answers with."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from turnstream.turns.shapes import ConversationId, Seconds
from turnstream.ws_server.bodies import InputCall, InputCallOutput, InputItem, ListPage
from turnstream.ws_server.input_items import Items
from turnstream.ws_server.requests import Metadata

#: Items that one request may add, as at OpenAI.
MOST_ITEMS = 20


class ConversationBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/conversations`."""

    items: Annotated[Items, Meta(max_length=MOST_ITEMS)] | None = None
    metadata: Metadata = None


class ConversationUpdateBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/conversations/{id}`."""

    #: Replaces all of it; null removes it.
    metadata: Metadata


class ConversationItemsBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: Annotated[Items, Meta(min_length=1, max_length=MOST_ITEMS)]


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation without its items."""

    id: ConversationId
    object: Literal["conversation"] = "conversation"
    created_at: Seconds
    metadata: dict[str, str]


class ConversationDeleted(Struct, frozen=True, kw_only=True):
    """A conversation was deleted."""

    id: ConversationId
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class ConversationItemList(
    ListPage[InputItem | InputCall | InputCallOutput, str], frozen=True, kw_only=True
):
    """A page of a conversation's items."""
