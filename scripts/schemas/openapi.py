"""The OpenAPI document: every path over HTTP, what it takes and what it answers."""

from typing import Any

from scripts.schemas.json_schema import components, ref
from turns import shapes
from ws_server import bodies, requests

Json = dict[str, Any]

#: What may go wrong anywhere: no key, a page of another host, Redis away, or we fail.
_ANYWHERE = (401, 403, 500, 503)
_WRONG = {
    400: "The request is wrong; the error says where.",
    401: "The key is missing or unknown.",
    403: "A page of another host asks.",
    404: "There is no such thing for this key.",
    500: "The server, or the worker of this turn, failed.",
    503: "Redis is away, or the line is full: try again later.",
}


def document() -> Json:
    """Write the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "turnstream",
            "version": "1",
            "description": (
                "Chat turns over HTTP. The socket at GET /v1/responses is described by an AsyncAPI "
                "document of its own, docs/asyncapi.yaml."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8000"}],
        "security": [{"key": []}, {}],
        "paths": _paths(),
        "components": {
            "schemas": components(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "headers": {
                "RequestId": {
                    "description": "Names the request in the server's log.",
                    "schema": {"type": "string", "pattern": "^req_[0-9a-f]{32}$"},
                },
                "ShouldRetry": {
                    "description": "Whether asking again may help.",
                    "schema": {"enum": ["true", "false"]},
                },
                "RetryAfter": {
                    "description": "Seconds after which asking again may help.",
                    "schema": {"type": "integer", "minimum": 0},
                },
            },
        },
    }


def _paths() -> Json:
    response_id = _path("id", "A response's id, or a completion's.")
    return {
        "/v1/responses": {
            "post": _operation(
                "create_response",
                "Have a turn answered.",
                shapes.Response,
                body=requests.ResponseBody,
                parameters=[_idempotency_key()],
                streams="Its events, if `stream` is true: see the schemas of this document.",
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}": {
            "get": _operation(
                "get_response",
                "A response as it is now, or its events.",
                shapes.Response,
                parameters=[
                    response_id,
                    _query("stream", {"enum": ["true", "false"]}, "Answer with its events."),
                    _query(
                        "starting_after",
                        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
                        "Only those after the event of this number.",
                    ),
                ],
                streams="Its events from any number on, those to come too.",
                wrong=(400, 404),
            ),
            "delete": _operation(
                "delete_response",
                "Forget an ended response and all that was said in it.",
                bodies.Deleted,
                parameters=[response_id],
                wrong=(400, 404),
            ),
        },
        "/v1/responses/{id}/cancel": {
            "post": _operation(
                "cancel_response",
                "Stop a turn; answers when it has ended.",
                shapes.Response,
                parameters=[response_id],
                wrong=(400, 404),
            )
        },
        "/v1/responses/{id}/input_items": {
            "get": _operation(
                "list_input_items",
                "The messages that a response was asked with.",
                bodies.InputItemList,
                parameters=[
                    response_id,
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    _query("order", {"enum": ["asc", "desc"]}, "Latest first: desc, the default."),
                    _query("after", {"type": "string"}, "The last item that one has."),
                ],
                wrong=(400, 404),
            )
        },
        "/v1/chat/completions": {
            "post": _operation(
                "create_completion",
                "The same turn in the older words.",
                bodies.Completion,
                body=requests.CompletionBody,
                parameters=[_idempotency_key()],
                streams="`Chunk` objects, then [DONE], if `stream` is true.",
                wrong=(400, 404),
            )
        },
        "/v1/models": {
            "get": _operation("list_models", "Every model that can be asked.", bodies.ModelList)
        },
        "/v1/models/{name}": {
            "get": _operation(
                "get_model",
                "One model.",
                bodies.Model,
                parameters=[_path("name", "Its name.")],
                wrong=(404,),
            )
        },
        "/healthz": {"get": _health("healthz", "This process lives.")},
        "/readyz": {"get": _health("readyz", "A turn would be answered.", 503)},
    }


def _operation(
    name: str,
    summary: str,
    answer: type,
    *,
    body: type | None = None,
    parameters: list[Json] | None = None,
    streams: str = "",
    wrong: tuple[int, ...] = (),
) -> Json:
    content: Json = {"application/json": {"schema": ref(answer)}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string", "description": streams}}
    operation: Json = {"operationId": name, "summary": summary}
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        required = {"required": True, "content": {"application/json": {"schema": ref(body)}}}
        operation["requestBody"] = required
    done = {"description": "Done.", "headers": _headers("RequestId"), "content": content}
    refusals = {str(status): _refusal(status) for status in sorted((*wrong, *_ANYWHERE))}
    return operation | {"responses": {"200": done, **refusals}}


def _refusal(status: int) -> Json:
    names = ("RequestId", "ShouldRetry") + (("RetryAfter",) if status == 503 else ())
    return {
        "description": _WRONG[status],
        "headers": _headers(*names),
        "content": {"application/json": {"schema": ref(bodies.ErrorBody)}},
    }


def _health(name: str, summary: str, *others: int) -> Json:
    answer = {
        "description": "How it is.",
        "headers": _headers("RequestId"),
        "content": {"application/json": {"schema": ref(bodies.Health)}},
    }
    answers = {str(status): answer for status in (200, *others)}
    return {"operationId": name, "summary": summary, "security": [{}], "responses": answers}


def _headers(*names: str) -> Json:
    words = {"RequestId": "x-request-id", "ShouldRetry": "x-should-retry"}
    return {
        words.get(name, "retry-after"): {"$ref": f"#/components/headers/{name}"} for name in names
    }


def _path(name: str, description: str) -> Json:
    schema = {"type": "string", "minLength": 1}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _idempotency_key() -> Json:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Asked again under the same key, it is the same turn.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }
