"""Every path that is served over HTTP, with its parameters and answers."""

from typing import Any

from scripts.schemas.operation import health, idempotency_key, operation, path, query
from turnstream.turns import event_shapes, shapes
from turnstream.ws_server import bodies, completion_bodies, requests
from turnstream.ws_server import conversation_bodies as conversations
from turnstream.ws_server.batches import bodies as batches

Json = dict[str, Any]


def paths() -> Json:
    response_id = path("id", "Id of a response or a completion.")
    return {
        "/v1/responses": {
            "post": operation(
                "create_response",
                "Create a response; with `stream`, send its events.",
                shapes.Response,
                body=requests.ResponseBody,
                parameters=[idempotency_key()],
                streams=event_shapes.EVENTS,
                wrong=(400, 404, 429),
                leads_to=("get_response", "cancel_response", "list_input_items", "delete_response"),
            )
        },
        "/v1/responses/input_tokens": {
            "post": operation(
                "count_input_tokens",
                "Count the tokens of a request's prompt.",
                bodies.InputTokens,
                body=requests.ResponseBody,
                wrong=(400, 404),
            )
        },
        "/v1/responses/compact": {
            "post": operation(
                "compact",
                "Return a conversation's latest turns as one item that is accepted as input.",
                bodies.Compaction,
                body=requests.CompactBody,
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}": {
            "get": operation(
                "get_response",
                "Get a response as it is now, or its events.",
                shapes.Response,
                parameters=[
                    response_id,
                    query("stream", {"enum": ["true", "false"]}, "Send its events."),
                    query(
                        "starting_after",
                        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
                        "Only events after this number.",
                    ),
                ],
                streams=event_shapes.EVENTS,
                wrong=(400, 404),
            ),
            "delete": operation(
                "delete_response",
                "Delete an ended response and its messages.",
                bodies.Deleted,
                parameters=[response_id],
                wrong=(400, 404),
            ),
        },
        "/v1/responses/{id}/cancel": {
            "post": operation(
                "cancel_response",
                "Cancel a turn; answers when it has ended.",
                shapes.Response,
                parameters=[response_id],
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}/input_items": {
            "get": operation(
                "list_input_items",
                "List the messages of a response's request.",
                bodies.InputItemList,
                parameters=[
                    response_id,
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first is desc, the default."),
                    query("after", {"type": "string"}, "Id of the last item of the previous page."),
                ],
                wrong=(400, 404),
            )
        },
        "/v1/chat/completions": {
            "post": operation(
                "create_completion",
                "Create a chat completion; with `stream`, send its chunks.",
                bodies.Completion,
                body=requests.CompletionBody,
                parameters=[idempotency_key()],
                streams=(bodies.Chunk, bodies.ErrorBody),
                wrong=(400, 404, 429),
                leads_to=("get_response", "cancel_response", "list_input_items", "delete_response"),
            )
        },
        "/v1/completions": {
            "post": operation(
                "create_text_completion",
                "Continue raw prompts; with `stream`, send the texts in pieces.",
                completion_bodies.TextCompletion,
                body=completion_bodies.TextCompletionBody,
                parameters=[idempotency_key()],
                streams=(completion_bodies.TextCompletion, bodies.ErrorBody),
                wrong=(400, 404, 429),
                leads_to=("get_response", "cancel_response", "delete_response"),
            )
        },
        "/v1/models": {"get": operation("list_models", "List the models.", bodies.ModelList)},
        "/v1/models/{name}": {
            "get": operation(
                "get_model",
                "Get a model.",
                bodies.Model,
                parameters=[path("name", "Name of the model.")],
                wrong=(404,),
            )
        },
        **_conversations(),
        **_batches(),
        "/healthz": {"get": health("healthz", "Whether this process is alive.")},
        "/health": {"get": health("health", "The same.")},
        "/readyz": {"get": health("readyz", "Whether a worker serves the default model.", 503)},
    }


def _conversations() -> Json:
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
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first is desc, the default."),
                    query("after", {"type": "string"}, "Id of the last item of the previous page."),
                ],
                wrong=(400, 404),
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


def _batches() -> Json:
    file_id, batch_id = path("id", "Id of a file."), path("id", "Id of a batch.")
    after = query("after", {"type": "string"}, "Id of the last entry of the previous page.")
    return {
        "/v1/files": {
            "post": operation(
                "create_file",
                "Upload a file of requests.",
                batches.FileBody,
                form=requests.FileForm,
                wrong=(400, 413),
                leads_to=("get_file", "get_file_content", "delete_file"),
            ),
            "get": operation(
                "list_files",
                "List the owner's files.",
                batches.FileList,
                parameters=[
                    query("purpose", {"type": "string"}, "Only files of this purpose."),
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 10_000}, "10000"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first is desc, the default."),
                    after,
                ],
                wrong=(400,),
            ),
        },
        "/v1/files/{id}": {
            "get": operation(
                "get_file",
                "Get a file.",
                batches.FileBody,
                parameters=[file_id],
                wrong=(404,),
            ),
            "delete": operation(
                "delete_file",
                "Delete a file.",
                batches.FileDeleted,
                parameters=[file_id],
                wrong=(404,),
            ),
        },
        "/v1/files/{id}/content": {
            "get": operation(
                "get_file_content",
                "Get the content of a file.",
                None,
                parameters=[file_id],
                wrong=(404,),
            )
        },
        "/v1/batches": {
            "post": operation(
                "create_batch",
                "Create a batch of a file's requests.",
                batches.BatchBody,
                body=requests.BatchRequest,
                parameters=[idempotency_key()],
                wrong=(400, 404),
                leads_to=("get_batch", "cancel_batch"),
            ),
            "get": operation(
                "list_batches",
                "List the owner's batches, newest first.",
                batches.BatchList,
                parameters=[
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    after,
                ],
                wrong=(400,),
            ),
        },
        "/v1/batches/{id}": {
            "get": operation(
                "get_batch",
                "Get a batch.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(404,),
            )
        },
        "/v1/batches/{id}/cancel": {
            "post": operation(
                "cancel_batch",
                "Cancel a batch; finished requests keep their results.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(400, 404),
            )
        },
    }
