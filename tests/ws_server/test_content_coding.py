"""Compressed bodies: decoded whole however they are cut, and never more of them than was asked."""

import gzip
import random
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.content_coding import MOST_MEMBERS, PIECE, decoded, zstd
from turnstream.ws_server.request_errors import UnsupportedContentEncoding

TEXT = '{"input": "Größe ' + "one two three " * 20 + '"}'
PLAIN = TEXT.encode()


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


def streamed_zstd(data: bytes) -> bytes:
    """Compress without the size in the header, as a pipe does."""
    coder = zstd.ZstdCompressor()
    return coder.compress(data) + coder.flush()


def zstd_with_window(log: int) -> bytes:
    options = {zstd.CompressionParameter.window_log: log}
    coder = zstd.ZstdCompressor(options=options)
    return coder.compress(PLAIN) + coder.flush()


CODED = {
    "identity": ("identity", PLAIN),
    "none": ("", PLAIN),
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "x-gzip": ("X-GZip", gzip.compress(PLAIN)),
    "two members": ("gzip", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "raw deflate": ("deflate", raw_deflate(PLAIN)),
    "zstd": ("zstd", zstd.compress(PLAIN)),
    "zstd of unknown size": ("zstd", streamed_zstd(PLAIN)),
    "two frames": ("zstd", zstd.compress(PLAIN[:9]) + streamed_zstd(PLAIN[9:])),
    "skipped frame": ("zstd", b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(PLAIN)),
    "8 MiB window": ("zstd", zstd_with_window(23)),
}


async def decode(coding: str, body: bytes, *, cut: int = 7) -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), cut):
            yield body[start : start + cut]

    return b"".join([piece async for piece in decoded(coding, chunks())])


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("cut", [1, 7, 100_000])
async def test_a_body_is_decoded_wherever_it_was_cut(name: str, cut: int) -> None:
    assert await decode(*CODED[name], cut=cut) == PLAIN


@given(data=st.binary(max_size=300), cut=st.integers(1, 50), coding=st.sampled_from(list(CODED)))
@settings(deadline=None)
async def test_any_content_survives_its_coding(data: bytes, cut: int, coding: str) -> None:
    coders = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": streamed_zstd}
    name = CODED[coding][0].lower()
    coder = coders.get(name, bytes)

    assert await decode(name if name in coders else "", coder(data), cut=cut) == data


@pytest.mark.parametrize("coder", [gzip.compress, zlib.compress, zstd.compress, streamed_zstd])
async def test_no_piece_is_large_however_well_the_body_was_compressed(coder: object) -> None:
    assert callable(coder)
    name = {gzip.compress: "gzip", zlib.compress: "deflate"}.get(coder, "zstd")
    body = coder(bytes(40 * PIECE))

    async def whole() -> AsyncIterator[bytes]:
        yield body

    sizes = [len(piece) async for piece in decoded(name, whole())]

    assert len(body) < PIECE
    assert sum(sizes) == 40 * PIECE
    assert max(sizes) <= PIECE


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip,zstd", "compress", "aws-chunked"])
async def test_another_coding_is_refused_by_its_name(coding: str) -> None:
    with pytest.raises(UnsupportedContentEncoding, match="gzip, deflate, zstd") as refused:
        await decode(coding, PLAIN)

    assert repr(coding) in refused.value.message
    assert refused.value.headers == {"accept-encoding": "gzip, deflate, zstd"}


@pytest.mark.parametrize("name", [n for n in CODED if CODED[n][0] not in ("", "identity")])
async def test_a_body_that_was_cut_short_is_refused(name: str) -> None:
    coding, body = CODED[name]

    with pytest.raises(BadRequest, match="ends too early"):
        await decode(coding, body[:-1])


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        ("gzip", PLAIN, "corrupt"),
        ("deflate", b"\xff" + PLAIN, "corrupt"),
        ("zstd", PLAIN, "corrupt"),
        ("gzip", gzip.compress(PLAIN, mtime=0) + b"more", "corrupt"),
        ("deflate", zlib.compress(PLAIN) + b"more", "something follows"),
        ("zstd", zstd.compress(PLAIN) + b"more", "corrupt"),
        ("zstd", zstd_with_window(27), "corrupt"),
        ("zstd", b"\x50\x2a\x4d\x18\0\0\0\0" * (MOST_MEMBERS + 1), "too many parts"),
        ("gzip", random.Random(1).randbytes(1000), "corrupt"),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(
    coding: str, body: bytes, why: str
) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        await decode(coding, body, cut=1000)

    assert refused.value.code == "invalid_content_encoding"


async def test_an_empty_body_is_empty_in_every_coding() -> None:
    for coding in ("gzip", "deflate", "zstd", ""):
        assert await decode(coding, b"") == b""
