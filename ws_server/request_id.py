"""Give each request an id, sent in the `x-request-id` header of its answer.

Official clients show it with an error, and the server logs it with a failure.
"""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Messages that carry the headers of an answer, or of an accepted or refused handshake.
_HEADS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class RequestId:
    """Middleware that gives requests their ids."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = request_id = f"req_{secrets.token_hex(16)}"

        async def named(message: Message) -> None:
            if message["type"] in _HEADS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, named)
