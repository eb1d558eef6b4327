"""Every path that is served over HTTP, with its parameters and answers."""

from typing import Any

from scripts.schemas.operation import health, idempotency_key, operation, path, query
from turnstream.turns import event_shapes, shapes
from turnstream.ws_server import bodies, requests
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
        **_batches(),
        "/healthz": {"get": health("healthz", "Whether this process is alive.")},
        "/health": {"get": health("health", "The same.")},
        "/readyz": {"get": health("readyz", "Whether a worker serves the default model.", 503)},
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
