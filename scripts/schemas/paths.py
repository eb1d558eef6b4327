"""Every path that is served over HTTP, what it takes and what it answers."""

from typing import Any

from scripts.schemas.operation import health, idempotency_key, operation, path, query
from turnstream.turns import event_shapes, shapes
from turnstream.ws_server import bodies, requests
from turnstream.ws_server.batches import bodies as batches

Json = dict[str, Any]


def paths() -> Json:
    response_id = path("id", "A response's id, or a completion's.")
    return {
        "/v1/responses": {
            "post": operation(
                "create_response",
                "Have a turn answered; with `stream`, its events as they come.",
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
                "How many tokens the prompt of such a response would have.",
                bodies.InputTokens,
                body=requests.ResponseBody,
                wrong=(400, 404),
            )
        },
        "/v1/responses/compact": {
            "post": operation(
                "compact",
                "A conversation's latest turns, as one item that is taken as input.",
                bodies.Compaction,
                body=requests.CompactBody,
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}": {
            "get": operation(
                "get_response",
                "A response as it is now, or its events.",
                shapes.Response,
                parameters=[
                    response_id,
                    query("stream", {"enum": ["true", "false"]}, "Answer with its events."),
                    query(
                        "starting_after",
                        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
                        "Only those after the event of this number.",
                    ),
                ],
                streams=event_shapes.EVENTS,
                wrong=(400, 404),
            ),
            "delete": operation(
                "delete_response",
                "Forget an ended response and all that was said in it.",
                bodies.Deleted,
                parameters=[response_id],
                wrong=(400, 404),
            ),
        },
        "/v1/responses/{id}/cancel": {
            "post": operation(
                "cancel_response",
                "Stop a turn; answers when it has ended.",
                shapes.Response,
                parameters=[response_id],
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}/input_items": {
            "get": operation(
                "list_input_items",
                "The messages that a response was asked with.",
                bodies.InputItemList,
                parameters=[
                    response_id,
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first: desc, the default."),
                    query("after", {"type": "string"}, "The last item that one has."),
                ],
                wrong=(400, 404),
            )
        },
        "/v1/chat/completions": {
            "post": operation(
                "create_completion",
                "The same turn in the older words; with `stream`, a piece at a time.",
                bodies.Completion,
                body=requests.CompletionBody,
                parameters=[idempotency_key()],
                streams=(bodies.Chunk, bodies.ErrorBody),
                wrong=(400, 404, 429),
                leads_to=("get_response", "cancel_response", "list_input_items", "delete_response"),
            )
        },
        "/v1/models": {
            "get": operation("list_models", "Every model that can be asked.", bodies.ModelList)
        },
        "/v1/models/{name}": {
            "get": operation(
                "get_model",
                "One model.",
                bodies.Model,
                parameters=[path("name", "Its name.")],
                wrong=(404,),
            )
        },
        **_batches(),
        "/healthz": {"get": health("healthz", "This process lives.")},
        "/readyz": {"get": health("readyz", "A turn would be answered.", 503)},
    }


def _batches() -> Json:
    file_id, batch_id = path("id", "A file's id."), path("id", "A batch's id.")
    after = query("after", {"type": "string"}, "The last one that one has.")
    return {
        "/v1/files": {
            "post": operation(
                "create_file",
                "Take a file of requests.",
                batches.FileBody,
                form=requests.FileForm,
                wrong=(400, 413),
                leads_to=("get_file", "get_file_content", "delete_file"),
            ),
            "get": operation(
                "list_files",
                "One's own files.",
                batches.FileList,
                parameters=[
                    query("purpose", {"type": "string"}, "Only those for it."),
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 10_000}, "10000"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first: desc, the default."),
                    after,
                ],
                wrong=(400,),
            ),
        },
        "/v1/files/{id}": {
            "get": operation(
                "get_file",
                "What is known of a file.",
                batches.FileBody,
                parameters=[file_id],
                wrong=(404,),
            ),
            "delete": operation(
                "delete_file",
                "Forget a file and its content.",
                batches.FileDeleted,
                parameters=[file_id],
                wrong=(404,),
            ),
        },
        "/v1/files/{id}/content": {
            "get": operation(
                "get_file_content",
                "The file itself.",
                None,
                parameters=[file_id],
                wrong=(404,),
            )
        },
        "/v1/batches": {
            "post": operation(
                "create_batch",
                "Have a file's requests answered.",
                batches.BatchBody,
                body=requests.BatchRequest,
                parameters=[idempotency_key()],
                wrong=(400, 404),
                leads_to=("get_batch", "cancel_batch"),
            ),
            "get": operation(
                "list_batches",
                "One's own batches, newest first.",
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
                "How a batch stands.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(404,),
            )
        },
        "/v1/batches/{id}/cancel": {
            "post": operation(
                "cancel_batch",
                "Answer no further request of it; finished ones are kept.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(400, 404),
            )
        },
    }
