"""Answers that are sent below the application, and the headers that every answer has."""

import secrets
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import Message

from turnstream.turns.errors import TurnError
from turnstream.ws_server.wire import error_response

#: The page has a policy of its own; nothing else is for a browser to show.
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def refusal(error: TurnError) -> bytes:
    """Write an error as a whole HTTP answer, after which the connection is closed."""
    response = error_response(error)
    headers = {
        **SECURITY_HEADERS,
        "x-request-id": f"req_{secrets.token_hex(16)}",
        **response.headers,
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + bytes(response.body)


def secure(head: Message) -> None:
    """Add the headers of every answer to one that the application sends."""
    head.setdefault("headers", [])
    headers = MutableHeaders(scope=head)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if location := headers.get("location"):
        # The framework takes the host from the request: a client may have made it up.
        target = urlsplit(location)
        path = "/" + target.path.lstrip("/")
        headers["location"] = f"{path}?{target.query}" if target.query else path
