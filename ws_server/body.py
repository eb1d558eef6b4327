"""Read a request's body, decoded and within a bound.

The bound is on the decoded size, and on the encoded one too: a compressed body may decode to
nothing.
"""

from collections.abc import AsyncIterator

from starlette.requests import Request

from turnstream.turns.errors import TurnError
from turnstream.ws_server.content_coding import decoded
from turnstream.ws_server.request_errors import BodyTooLarge
from turnstream.ws_server.state import state_of


async def read_body(request: Request) -> bytes:
    """Read a body whole.

    Raises:
        BodyTooLarge: it has more bytes than `TURNSTREAM_MAX_BODY_BYTES`.
        UnsupportedContentEncoding, BadRequest: it can't be decoded.
    """
    most = state_of(request).socket_limits.body_bytes
    body = bytearray()
    async for piece in read_pieces(request, most, BodyTooLarge(most)):
        body += piece
    return bytes(body)


async def read_pieces(request: Request, most: int, too_large: TurnError) -> AsyncIterator[bytes]:
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
    async for piece in decoded(coding, _encoded(request, most, too_large)):
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
