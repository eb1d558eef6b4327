"""Names each request, and says the name in the head of whatever answers it.

Official clients show it beside an error, and it is in the log of what went wrong here.
"""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Messages that are the head of an answer: also of a handshake, whether accepted or refused.
_HEADS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class RequestId:
    """Names the requests of an application."""

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
