"""Give each answer its `x-request-id`, and the headers that are noted while a request is handled.

Official clients show the id with an error, and the server logs it with a failure. A client or a
proxy may send an id of its own.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnstream.turns.origin import Origin
from turnstream.turns.traces import TRACEPARENT, traceparent_of
from turnstream.turns.turn import Turn

#: Messages that carry the headers of an answer, or of an accepted or refused handshake.
_HEADS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
#: Ids that are taken over: short, and printable without spaces.
_SANE = re.compile(r"[!-~]{1,128}")
_NOTED = "answer_headers"


def note(request: HTTPConnection, headers: Mapping[str, str]) -> None:
    """Add headers to the answer of a request, which has not begun."""
    request.scope[_NOTED].update(headers)


def with_origin(turn: Turn, connection: HTTPConnection) -> Turn:
    """Return a turn that says which request, or socket, it came with."""
    return replace(turn, origin=origin_of(connection, turn.metadata))


def origin_of(connection: HTTPConnection, metadata: Mapping[str, str]) -> Origin:
    """Return which request, or socket, a turn with this metadata came with."""
    traceparent = traceparent_of(connection.headers.get(TRACEPARENT), metadata)
    return Origin(request_id=connection.scope["request_id"], traceparent=traceparent)


class AnswerHeaders:
    """Middleware that adds the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SANE.fullmatch(sent) else f"req_{secrets.token_hex(16)}"
        scope["request_id"] = request_id
        scope[_NOTED] = noted = {"x-request-id": request_id}

        async def with_headers(message: Message) -> None:
            if message["type"] in _HEADS:
                message.setdefault("headers", [])
                noted["openai-processing-ms"] = str(round((time.monotonic() - begun) * 1000))
                MutableHeaders(scope=message).update(noted)
            await send(message)

        await self._app(scope, receive, with_headers)
