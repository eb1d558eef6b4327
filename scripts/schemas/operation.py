"""Make the operations of the OpenAPI document, with what all of them have in common."""

from collections.abc import Sequence
from typing import Any

from scripts.schemas.json_schema import ref
from turnstream.ws_server import bodies

Json = dict[str, Any]

#: Statuses of every operation with a body: too large, or compressed in an unknown way.
_WITH_BODY = (413, 415)
#: Statuses of every operation: no key, a page of another host, a failure, Redis unavailable.
_ANYWHERE = (401, 403, 500, 503)
_WRONG = {
    400: "The request is wrong; the error says where.",
    401: "The key is missing or unknown.",
    403: "It comes from a page of another host, or the key is not good for it.",
    413: "The body, or the file, is too large.",
    415: "The body has a content coding that is not supported.",
    404: "Not found, or it belongs to another owner.",
    409: "It was changed by another request just now.",
    429: "The owner of this key has reached a limit: try again later.",
    500: "The server or the turn's worker failed.",
    503: "Redis is unavailable, or the queue is full: try again later.",
}


def operation(
    name: str,
    summary: str,
    answer: type | None,
    *,
    body: type | None = None,
    form: type | None = None,
    parameters: list[Json] | None = None,
    streams: tuple[type, ...] | None = None,
    wrong: tuple[int, ...] = (),
    leads_to: tuple[str, ...] = (),
) -> Json:
    """Return an operation.

    Args:
        answer: the body of its answer; None: bytes, or only a stream.
        streams: the events of its streamed answer.
        wrong: error statuses besides those of every operation.
        leads_to: operations on the id of its answer.
    """
    content: Json = {"application/octet-stream": {}}
    if answer is not None:
        content = {"application/json": {"schema": ref(answer)}}
    if answer is None and streams is not None:
        content = {}
    if streams is not None:
        content["text/event-stream"] = {"schema": _server_sent(*streams)}
    written: Json = {"operationId": name, "summary": summary}
    if parameters:
        written["parameters"] = parameters
    for kind, shape in (("application/json", body), ("multipart/form-data", form)):
        if shape is not None:
            written["requestBody"] = {"required": True, "content": {kind: {"schema": ref(shape)}}}
    done: Json = {"description": "Done.", "headers": _headers("RequestId"), "content": content}
    if leads_to:
        by_id = {"parameters": {"id": "$response.body#/id"}}
        done["links"] = {name: {"operationId": name} | by_id for name in leads_to}
    if body is not None or form is not None:
        wrong = (*wrong, *_WITH_BODY)
    refusals = {str(status): _refusal(status) for status in sorted({*wrong, *_ANYWHERE})}
    return written | {"responses": {"200": done, **refusals}}


def _server_sent(*shapes: type) -> Json:
    """Return the schema of a stream's event: JSON of one of the kinds, or [DONE] at the end."""
    kinds = [ref(shape) for shape in shapes]
    data = {"type": "string", "contentMediaType": "application/json"}
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "data": {"anyOf": [{"const": "[DONE]"}, data | {"contentSchema": {"anyOf": kinds}}]},
        },
        "required": ["data"],
    }


def _refusal(status: int) -> Json:
    names = ("RequestId", "ShouldRetry") + (("RetryAfter",) if status in (429, 503) else ())
    return {
        "description": _WRONG[status],
        "headers": _headers(*names),
        "content": {"application/json": {"schema": ref(bodies.ErrorBody)}},
    }


def health(name: str, summary: str, *others: int, parameters: Sequence[Json] = ()) -> Json:
    """Return an operation that reports a state."""
    answer = {
        "description": "The state.",
        "headers": _headers("RequestId"),
        "content": {"application/json": {"schema": ref(bodies.Health)}},
    }
    answers = {str(status): answer for status in (200, *others)}
    operation: Json = {"operationId": name, "summary": summary, "security": [{}]}
    if parameters:
        operation["parameters"] = [*parameters]
    return operation | {"responses": answers}


def _headers(*names: str) -> Json:
    words = {"RequestId": "x-request-id", "ShouldRetry": "x-should-retry"}
    return {
        words.get(name, "retry-after"): {"$ref": f"#/components/headers/{name}"} for name in names
    }


def path(name: str, description: str) -> Json:
    """Return a parameter in the path."""
    schema = {"type": "string", "minLength": 1}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def query(name: str, schema: Json, description: str) -> Json:
    """Return an optional parameter in the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def page_of_items() -> list[Json]:
    """Return the parameters of a page of items."""
    return [
        query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
        query("order", {"enum": ["asc", "desc"]}, "Latest first is desc, the default."),
        query("after", {"type": "string"}, "Id of the last item of the previous page."),
    ]


def idempotency_key() -> Json:
    """Return the header that identifies a repeated request."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A request with the same key is the same turn.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }
