"""The paths of the Conversations API, with their parameters and answers."""

from typing import Any

import msgspec

from scripts.schemas.operation import operation, page_of_items, path, query
from turnstream.turns import event_shapes, feed_shapes
from turnstream.ws_server import bodies
from turnstream.ws_server import conversation_bodies as conversations

Json = dict[str, Any]


def conversation_paths() -> Json:
    id, item_id = path("id", "Id of a conversation."), path("item_id", "Id of an item.")
    return {
        "/v1/conversations": {
            "post": operation(
                "create_conversation",
                "Create a conversation, perhaps with items.",
                conversations.Conversation,
                body=conversations.ConversationBody,
                wrong=(400,),
                leads_to=(
                    "get_conversation",
                    "update_conversation",
                    "create_items",
                    "list_items",
                    "delete_conversation",
                ),
            )
        },
        "/v1/conversations/{id}": {
            "get": operation(
                "get_conversation",
                "Get a conversation without its items.",
                conversations.Conversation,
                parameters=[id],
                wrong=(404,),
            ),
            "post": operation(
                "update_conversation",
                "Replace the metadata of a conversation.",
                conversations.Conversation,
                body=conversations.ConversationUpdateBody,
                parameters=[id],
                wrong=(400, 404),
            ),
            "delete": operation(
                "delete_conversation",
                "Delete a conversation and what only it holds; stored responses stay.",
                conversations.ConversationDeleted,
                parameters=[id],
                wrong=(400, 404),
            ),
        },
        "/v1/conversations/{id}/items": {
            "post": operation(
                "create_items",
                "Add items at the end of a conversation.",
                conversations.ConversationItemList,
                body=conversations.ConversationItemsBody,
                parameters=[id],
                wrong=(400, 404),
            ),
            "get": operation(
                "list_items",
                "List the items of a conversation.",
                conversations.ConversationItemList,
                parameters=[
                    id,
                    *page_of_items(),
                ],
                wrong=(400, 404),
            ),
        },
        "/v1/conversations/{id}/feed": {
            "get": operation(
                "follow_conversation",
                "Follow a conversation, or the tree of turns that a response is in.",
                None,
                parameters=[
                    path("id", "Id of a conversation or of a response."),
                    query(
                        "starting_after",
                        {
                            "anyOf": [
                                {"type": "integer", "minimum": -1, "maximum": 10**15 - 1},
                                msgspec.json.schema(feed_shapes.Cursor),
                            ]
                        },
                        "Only entries after that with this cursor, or number; -1, the default: "
                        "all that are kept.",
                    ),
                    query(
                        "responses",
                        {"enum": ["true", "false"]},
                        "Send the events of responses that run, too; the default.",
                    ),
                ],
                streams=(*feed_shapes.ENTRIES, *event_shapes.EVENTS),
                wrong=(400, 404, 429),
            ),
        },
        "/v1/conversations/{id}/items/{item_id}": {
            "get": operation(
                "get_item",
                "Get an item of a conversation.",
                bodies.InputItem,
                parameters=[id, item_id],
                wrong=(404,),
            ),
            "delete": operation(
                "delete_item",
                "Remove an item from a conversation.",
                conversations.Conversation,
                parameters=[id, item_id],
                wrong=(400, 404),
            ),
        },
    }
