"""Read a request's body, decoded and within a bound.

The bound is on the decoded size, and on the encoded one too: a compressed body may decode to
nothing. What was read is counted until its request is answered.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from turnstream.turns.errors import TurnError
from turnstream.ws_server.connections.byte_room import Share
from turnstream.ws_server.content_coding import decoded
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.field import Body
from turnstream.ws_server.request_errors import BodyTooLarge
from turnstream.ws_server.state import OWNER, state_of
from turnstream.ws_server.unanswered import text_memory

T = TypeVar("T")

_SHARES = "body_shares"


class Bodies:
    """Middleware that gives back what a request's body has taken when it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shares: list[Share] = []
        scope[_SHARES] = shares
        try:
            await self._app(scope, receive, send)
        finally:
            for share in shares:
                share.close()


async def read_request(request: Request, read: Callable[[Body], T], *, empty: bytes = b"") -> T:
    """Return what `read` makes of a body of JSON, when it is the owner's turn.

    Args:
        empty: what a body without a byte means.

    Raises:
        TurnError: as `read_body` does, and what `read` raises.
    """
    body = await read_body(request)
    result = await state_of(request).reading.read(
        request.scope[OWNER], len(body), lambda: read(read_json(body or empty))
    )
    share_of(request).take(text_memory(body) - len(body))
    return result


def share_of(request: Request) -> Share:
    """Return what counts a request whose body was read, until it is answered."""
    share: Share = request.scope[_SHARES][-1]
    return share


async def read_body(request: Request) -> bytes:
    """Read a body whole.

    Raises:
        BodyTooLarge: it has more bytes than `TURNSTREAM_MAX_BODY_BYTES`.
        UnsupportedContentEncoding, BadRequest: it can't be decoded.
        Overloaded: the requests that are not answered yet have too many bytes.
    """
    state = state_of(request)
    most = state.socket_limits.body_bytes
    share = state.requests.begin(request.scope[OWNER])
    request.scope[_SHARES].append(share)
    body = bytearray()
    async for piece in read_pieces(request, most, BodyTooLarge(most)):
        share.take(len(piece))
        body += piece
    return bytes(body)


async def read_pieces(
    request: Request, most: int, too_large: TurnError
) -> AsyncGenerator[bytes, None]:
    """Yield a body in decoded pieces of bounded size.

    Raises:
        TurnError: `too_large`, when there are more than `most` bytes, before or after decoding.
        UnsupportedContentEncoding, BadRequest: it can't be decoded.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most:
        raise too_large
    coding = ", ".join(request.headers.getlist("content-encoding"))
    count = 0
    reading, owner = state_of(request).reading, request.scope[OWNER]
    async for piece in decoded(coding, _encoded(request, most, too_large)):
        await reading.turn(owner)
        count += len(piece)
        if count > most:
            raise too_large
        yield piece


async def _encoded(request: Request, most: int, too_large: TurnError) -> AsyncIterator[bytes]:
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most:
            raise too_large
        yield chunk
