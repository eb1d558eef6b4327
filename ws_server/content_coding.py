"""Decode a request's body as its `Content-Encoding` says, a piece at a time.

A small body may decode to gigabytes, so no decoder gives more than `PIECE` at once, and whoever
reads counts what was decoded. A body may consist of several gzip members or zstd frames.
"""

import sys
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any, Protocol

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.request_errors import UnsupportedContentEncoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: What the header may name; also the value of `Accept-Encoding` in a refusal.
CODINGS = ("gzip", "deflate", "zstd")
#: Most bytes that are decoded at once.
PIECE = 64 * 1024
#: Members or frames of one body; each costs time even if it is empty.
MOST_MEMBERS = 10_000
#: Log of the largest window of a zstd frame, which is memory of the decoder (RFC 9659).
_WINDOW_LOG = 23
#: `wbits` of zlib for gzip, for zlib's own header, and for none.
_GZIP, _ZLIB, _RAW = 31, 15, -15


class _Member(Protocol):
    """Decodes one gzip member, deflate stream or zstd frame."""

    def decode(self, data: bytes) -> bytes:
        """Decode more, at most `PIECE` bytes."""
        ...

    @property
    def rest(self) -> bytes:
        """Return what was not consumed yet."""
        ...

    @property
    def full(self) -> bool:
        """Whether more may come without more input."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the member is complete; `rest` follows it."""
        ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream: Any = zlib.decompressobj(wbits)
        self.full = False

    def decode(self, data: bytes) -> bytes:
        decoded: bytes = self._stream.decompress(data, PIECE)
        self.full = len(decoded) == PIECE
        return decoded

    @property
    def rest(self) -> bytes:
        left: bytes = self._stream.unused_data if self.ended else self._stream.unconsumed_tail
        return left

    @property
    def ended(self) -> bool:
        ended: bool = self._stream.eof
        return ended


class _Zstd:
    def __init__(self) -> None:
        limit: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        self._frame = zstd.ZstdDecompressor(options=limit)

    def decode(self, data: bytes) -> bytes:
        return self._frame.decompress(data, PIECE)

    @property
    def rest(self) -> bytes:
        # Before the end the decompressor keeps what it has not consumed.
        return self._frame.unused_data if self.ended else b""

    @property
    def full(self) -> bool:
        return not self.ended and not self._frame.needs_input

    @property
    def ended(self) -> bool:
        return self._frame.eof


async def decoded(coding: str, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield a body's content in pieces of bounded size.

    Args:
        coding: the value of `Content-Encoding`; empty and `identity` leave the body as it is.

    Raises:
        UnsupportedContentEncoding: the coding is unknown, or there are several.
        BadRequest: the body is not what its coding says.
    """
    name = coding.strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        async for chunk in body:
            yield chunk
        return
    if name not in CODINGS:
        raise UnsupportedContentEncoding(coding.strip()[:80], CODINGS)
    decoder = _Decoder(name)
    async for chunk in body:
        for piece in decoder.decode(chunk):
            yield piece
    decoder.finish()


class _Decoder:
    """Decodes all members of a body."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._member: _Member | None = None
        self._members = 0
        #: The first byte of a deflate stream, until the second tells which header it has.
        self._head = b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode a chunk.

        Raises:
            BadRequest: it is not what the coding says.
        """
        data = self._head + data
        self._head = b""
        while data or (self._member is not None and self._member.full):
            if self._member is None:
                if self._name == "deflate" and len(data) < 2:
                    self._head = data
                    return
                self._member = self._begin(data)
            try:
                piece = self._member.decode(data)
            except (zlib.error, zstd.ZstdError) as exc:
                raise self._corrupt() from exc
            data = self._member.rest
            if self._member.ended:
                self._member = None
            if piece:
                yield piece

    def finish(self) -> None:
        """Check that the body is whole.

        Raises:
            BadRequest: it ends within a member.
        """
        if self._member is not None or self._head:
            raise self._corrupt("it ends too early")

    def _begin(self, data: bytes) -> _Member:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise self._corrupt("it has too many parts")
        match self._name:
            case "zstd":
                return _Zstd()
            case "gzip":
                return _Zlib(_GZIP)
        if self._members > 1:
            raise self._corrupt("something follows its end")
        # By the standard there is a zlib header, but some clients leave it out.
        has_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return _Zlib(_ZLIB if has_header else _RAW)

    def _corrupt(self, why: str = "it is corrupt") -> BadRequest:
        return BadRequest(
            f"The body can't be decoded as {self._name}: {why}.", code="invalid_content_encoding"
        )
