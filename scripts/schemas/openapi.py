"""The OpenAPI document: what is served over HTTP."""

from typing import Any

from scripts.schemas.json_schema import components
from scripts.schemas.paths import paths

Json = dict[str, Any]


def document() -> Json:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "turnstream",
            "version": "1",
            "description": (
                "Chat turns over HTTP. The WebSocket at /v1/responses is described by an AsyncAPI "
                "document, docs/asyncapi.yaml."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8000"}],
        "security": [{"key": []}, {}],
        "paths": paths(),
        "components": {
            "schemas": components(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "headers": {
                "RequestId": {
                    "description": "Id of the request, also in the server's log: the client's own,"
                    " if it sent one of 1 to 128 printable characters.",
                    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                },
                "ShouldRetry": {
                    "description": "Whether a retry may help.",
                    "schema": {"enum": ["true", "false"]},
                },
                "RetryAfter": {
                    "description": "Seconds after which a retry may help.",
                    "schema": {"type": "integer", "minimum": 0},
                },
            },
        },
    }
