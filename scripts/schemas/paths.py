"""Every path that is served over HTTP, with its parameters and answers."""

from typing import Any

from scripts.schemas.batch_paths import batch_paths
from scripts.schemas.conversation_paths import conversation_paths
from scripts.schemas.operation import health, idempotency_key, operation, page_of_items, path, query
from scripts.schemas.webhook_paths import webhook_paths
from turnstream.turns import event_shapes, shapes
from turnstream.ws_server import bodies, completion_bodies, requests, token_bodies

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
                    *page_of_items(),
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
        "/v1/client_tokens": {
            "post": operation(
                "create_client_token",
                "Make a short-lived key for a browser or a phone.",
                token_bodies.ClientToken,
                body=token_bodies.ClientTokenBody,
                wrong=(400, 404, 429),
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
        **conversation_paths(),
        **batch_paths(),
        **webhook_paths(),
        "/healthz": {"get": health("healthz", "Whether this process is alive.")},
        "/health": {"get": health("health", "The same.")},
        "/readyz": {
            "get": health(
                "readyz",
                "Whether a worker serves a model.",
                503,
                parameters=[
                    query("model", {"type": "string"}, "The default model, if not given."),
                    query(
                        "workers",
                        {"type": "integer"},
                        "0: only whether a turn can be written, to wait for a worker.",
                    ),
                ],
            )
        },
    }
