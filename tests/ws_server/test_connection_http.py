"""Attacks over HTTP that need no key: each is refused or cut within its bound."""

import asyncio
import time

import httpx2
import pytest

from tests.ws_server.connection_harness import BRIEF, SECONDS, UPGRADE, Opened, opened
from turnstream.ws_server.connections import progress
from turnstream.ws_server.connections.limits import (
    FRAMING_BYTES,
    HEAD_BYTES,
    HEADERS,
    PIPELINED,
)

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
#: Far more than any bound, in pieces.
MUCH = 4 * 1024 * 1024


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(GET, id="small headers"),
        pytest.param(GET + b"Authorization: Bearer ", id="one header"),
        pytest.param(b"GET /", id="a path"),
        pytest.param(b"", id="empty lines"),
    ],
)
async def test_an_endless_head_is_refused_at_its_bound(start: bytes) -> None:
    piece = {GET: b"a:b\r\n" * 50, b"": b"\r\n" * 128}.get(start, b"a" * 256)
    async with opened() as target:
        client = await target.connect()
        client.send(start)
        sent = await client.send_until_cut(piece, MUCH)

        assert sent < MUCH
        assert await client.error() == (431, "headers_too_large")


@pytest.mark.parametrize("trailer", [b"a: b\r\n", b"a" * 256])
async def test_endless_trailers_end_the_connection(trailer: bytes) -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(CHUNKED + b"1\r\nx\r\n0\r\nz: ")
        sent = await client.send_until_cut(trailer, MUCH)

        assert sent < MUCH
        assert await client.error() in ((431, "headers_too_large"), (400, "invalid_http"))


async def test_a_body_of_chunk_extensions_is_refused() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(CHUNKED + b"1;" + b"x" * (2 * FRAMING_BYTES))

        assert await client.error() == (400, "invalid_http")


async def test_a_body_in_chunks_of_one_byte_is_read() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")

        assert b" 200 " in await client.head()
        assert await client.exactly(15) == b'{"size": 20000}'


async def test_pipelined_requests_beyond_the_bound_are_not_begun() -> None:
    async with opened() as target:
        client = await target.connect()
        held = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
        client.send(held * 1000)
        while not target.app.begun:
            await asyncio.sleep(0)
        target.app.release.set()
        answers = (await client.rest()).count(b"HTTP/1.1 200")

        assert answers == target.app.begun == 1 + PIPELINED


async def test_a_pipelined_request_is_told_that_its_client_left() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"\r\n")
        while not target.app.begun:
            await asyncio.sleep(0)
        client.drop()
        async with asyncio.timeout(30):
            while not target.app.left:
                await asyncio.sleep(0.01)

        assert target.app.begun == 1


@pytest.mark.parametrize(
    ("start", "error"),
    [
        pytest.param(b"", None, id="silent"),
        pytest.param(b"GET / HT", (408, "request_too_slow"), id="half a head"),
        pytest.param(UPGRADE, (408, "request_too_slow"), id="half a handshake"),
        pytest.param(
            POST + b"Content-Length: 9\r\n\r\nab", (408, "request_too_slow"), id="half a body"
        ),
        pytest.param(CHUNKED + b"5\r\nab", (408, "request_too_slow"), id="half a chunk"),
    ],
)
async def test_what_does_not_go_on_is_closed_in_time(
    start: bytes, error: tuple[int, str] | None
) -> None:
    async with opened(**BRIEF) as target:
        client = await target.connect()
        begun = time.monotonic()
        client.send(start)

        assert (await client.error() if error else await client.rest()) == (error or b"")
        assert time.monotonic() - begun > SECONDS * 0.9


@pytest.mark.parametrize(
    "start",
    [GET, POST + b"Content-Length: 99999\r\n\r\n", GET + b"\r\n"],
    ids=["a head", "a body", "empty lines between requests"],
)
async def test_a_drip_gains_no_time(start: bytes) -> None:
    async with opened(**BRIEF) as target:
        client = await target.connect()
        client.send(start)

        async def drip() -> None:
            while not client.closed:
                client.send(b"\r\n" if start == GET + b"\r\n" else b"a")
                await asyncio.sleep(SECONDS / 10)

        dripping = asyncio.create_task(drip())
        rest = await client.rest()
        dripping.cancel()

        assert b" 408 " in rest


async def test_a_body_at_the_least_rate_is_read_for_as_long_as_it_takes() -> None:
    async with opened(**BRIEF, body_rate=100) as target:
        client = await target.connect()
        client.send(POST + b"Content-Length: 1000\r\n\r\n")
        for _ in range(10):
            client.send(b"x" * 100)
            await asyncio.sleep(SECONDS / 3)

        assert b" 200 " in await client.head()


async def test_who_sends_a_large_body_to_the_end_can_read_that_it_was_refused() -> None:
    async with opened() as target, httpx2.AsyncClient(timeout=30) as client:
        url = f"http://127.0.0.1:{target.port}/unread"
        reply = await client.post(url, content=b"x" * 8 * MUCH)
        again = await client.get(url)

    assert reply.status_code == again.status_code == 200


async def test_a_body_that_nobody_wants_is_not_read_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "UNWANTED_BYTES", 1024 * 1024)
    async with opened(**BRIEF) as target:
        client = await target.connect()
        client.send(POST.replace(b"/x", b"/unread") + b"Content-Length: 99999999\r\n\r\n")
        assert b" 200 " in await client.head()
        assert await client.exactly(11) == b'{"size": 0}'
        sent = await client.send_until_cut(b"x" * 65536, 8 * MUCH)

        assert 1024 * 1024 <= sent < 8 * MUCH


@pytest.mark.parametrize(
    ("head", "error"),
    [
        pytest.param(UPGRADE + b"a: b\r\n" * 200, (431, "headers_too_large"), id="200 headers"),
        pytest.param(
            GET + b"Cookie: " + b"x" * (HEAD_BYTES + 1000) + b"\r\n",
            (431, "headers_too_large"),
            id="a large head that is complete",
        ),
        pytest.param(UPGRADE + b"Content-Length: 3\r\n", (400, "invalid_http"), id="a body"),
        pytest.param(
            UPGRADE + b"Transfer-Encoding: chunked\r\n", (400, "invalid_http"), id="chunks"
        ),
        pytest.param(GET + b"Host: y\r\n", (400, "invalid_http"), id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\n", (400, "invalid_http"), id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [\r\n", (400, "invalid_http"), id="no address"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: evil@127.0.0.1\r\n", (400, "invalid_http"), id="a user"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n", (400, "invalid_http"), id="not HTTP"),
    ],
)
async def test_a_bad_head_is_refused_at_once(head: bytes, error: tuple[int, str]) -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(head + b"\r\n")
        async with asyncio.timeout(30):
            assert await client.error() == error
        assert target.app.begun == 0


async def test_an_old_client_without_a_host_is_answered() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")

        assert b" 200 " in await client.rest()


@pytest.mark.parametrize("size", [9_000, HEAD_BYTES - 1_000])
async def test_a_handshake_with_a_large_cookie_is_accepted(size: int) -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(UPGRADE + b"Cookie: " + b"x" * size + b"\r\n\r\n")

        assert b" 101 " in await client.head()


async def test_as_many_headers_as_allowed_are_accepted() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(GET + b"a: b\r\n" * (HEADERS - 1) + b"\r\n")

        assert b" 200 " in await client.head()


async def test_a_client_that_reads_no_answer_is_cut_although_it_sends() -> None:
    async with opened(stalled_seconds=0.3) as target:
        client = await target.connect()
        client.transport.pause_reading()
        client.send(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(target, 1)
        async with asyncio.timeout(30):
            while target.connections:
                client.send(b"\r\n")
                await asyncio.sleep(0.02)
        client.drop()


@pytest.mark.parametrize("path", [b"/", b"/x"])
async def test_every_answer_has_the_headers_of_security_and_none_names_the_server(
    path: bytes,
) -> None:
    async with opened() as target:
        good = await target.connect()
        good.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        bad = await target.connect()
        bad.send(b"GET " + path + b" HTTP/1.1\r\n\r\n")
        handshake = await target.connect()
        handshake.send(UPGRADE.replace(b": 13", b": 12") + b"\r\n")

        for client, status in ((good, b" 200 "), (bad, b" 400 "), (handshake, b" 400 ")):
            head = (await client.head()).lower()
            assert status in head
            assert b"\r\nx-content-type-options: nosniff\r\n" in head
            assert b"\r\ncontent-security-policy: default-src 'none'" in head
            assert b"\r\nserver:" not in head


async def test_a_redirect_names_no_host() -> None:
    async with opened() as target:
        client = await target.connect()
        client.send(b"GET /moved HTTP/1.1\r\nHost: evil.example\r\n\r\n")

        assert b"\r\nlocation: /x?y=z\r\n" in await client.head()


async def test_nothing_is_held_when_clients_have_gone() -> None:
    async with opened() as target:
        clients = [await target.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.send((b"GET / HT", UPGRADE + b"\r\n", GET + b"\r\n", b"x\r\n\r\n")[number % 4])
        await until(target, 15)
        for client in clients:
            client.drop()
        await until(target, 0)

        assert target.held == 0


async def until(target: Opened, connections: int) -> None:
    async with asyncio.timeout(30):
        while target.connections != connections:
            await asyncio.sleep(0.005)
