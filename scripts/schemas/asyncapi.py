"""The AsyncAPI document: what the socket receives and sends."""

from typing import Any

from scripts.schemas.json_schema import components, ref
from turnstream.turns import event_shapes, feed_shapes
from turnstream.ws_server import feed_bodies, requests, socket_bodies, token_bodies

Json = dict[str, Any]

_RECEIVED = requests.FRAMES
_SENT = (
    *event_shapes.EVENTS,
    *feed_shapes.ENTRIES,
    feed_bodies.Followed,
    feed_bodies.Unfollowed,
    socket_bodies.SteerAccepted,
    socket_bodies.SteerPending,
    socket_bodies.SteerFailed,
    socket_bodies.Draining,
    token_bodies.TokenExpired,
    token_bodies.TokenRefreshed,
)


def document() -> Json:
    """Return the document."""
    schemas = components()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "turnstream, the socket",
            "version": "1",
            "description": (
                "Chat turns over a WebSocket, one JSON object in each text frame. Turns of one "
                "lane run in order, lanes run concurrently. The semantics are in docs/wire.md."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:8000", "protocol": "ws", "security": _security()}},
        "channels": {
            "responses": {
                "address": "/v1/responses",
                "messages": {
                    shape.__name__: {"$ref": f"#/components/messages/{shape.__name__}"}
                    for shape in (*_RECEIVED, *_SENT)
                },
                "bindings": {"ws": {"method": "GET", "query": _query()}},
            }
        },
        "operations": {
            "receive": _operation("receive", _RECEIVED, "Frames that a client may send."),
            "send": _operation("send", _SENT, "Events and notices that a client receives."),
        },
        "components": {
            "messages": {shape.__name__: _message(shape) for shape in (*_RECEIVED, *_SENT)},
            "schemas": _reached(schemas, [shape.__name__ for shape in (*_RECEIVED, *_SENT)]),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": (
                        "In browsers, the subprotocol openai-insecure-api-key.KEY beside "
                        "responses. A server without keys accepts any."
                    ),
                }
            },
        },
    }


def _security() -> list[Json]:
    return [{"$ref": "#/components/securitySchemes/key"}]


def _query() -> Json:
    return {
        "type": "object",
        "properties": {
            "model": {"type": "string", "description": "The model of requests that name none."},
            "resume_response_id": {"type": "string", "description": "Resume this response."},
            "starting_after": {
                "type": "integer",
                "description": "Number of the last event received.",
            },
            "stream_id": {"type": "string", "description": "The lane of the resumed response."},
        },
    }


def _operation(action: str, shapes: tuple[type, ...], summary: str) -> Json:
    channel = "#/channels/responses"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{shape.__name__}"} for shape in shapes],
    }


def _message(shape: type) -> Json:
    return {"summary": (shape.__doc__ or "").split("\n")[0], "payload": ref(shape)}


def _reached(schemas: Json, names: list[str]) -> Json:
    """Return the schemas that the messages refer to, directly or not."""
    found: dict[str, Json] = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = schemas[name]
            names += _names_in(schemas[name])
    return {name: found[name] for name in schemas if name in found}


def _names_in(schema: Any) -> list[str]:
    match schema:
        case {"$ref": str(target)}:
            return [target.rpartition("/")[2]]
        case dict():
            return [name for value in schema.values() for name in _names_in(value)]
        case list():
            return [name for value in schema for name in _names_in(value)]
        case _:
            return []
