"""Connections are counted in all, by address and by owner; one too many is refused by name."""

import asyncio
import errno
import logging
import os
import resource
import socket
import time
from pathlib import Path

import httpx2
import pytest
import redis.asyncio
from openai import AsyncOpenAI, RateLimitError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.ws_server.conftest import serving
from tests.ws_server.connection_harness import UPGRADE, Opened, opened
from tests.ws_server.wire_client import socket_url
from turnstream.ws_server.connections import acceptor
from turnstream.ws_server.connections.proxies import Proxies, group, networks
from turnstream.ws_server.connections.server import connections_allowed

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n"
TOO_MANY = (429, "too_many_connections")
FULL = (503, "overloaded")
CAR, VAN = b"X-Forwarded-For: 203.0.113.1\r\n", b"X-Forwarded-For: 203.0.113.2\r\n"


async def until(target: Opened, connections: int) -> None:
    async with asyncio.timeout(30):
        while target.connections != connections:
            await asyncio.sleep(0.005)


async def test_a_node_that_is_full_refuses_until_a_connection_ends() -> None:
    async with opened(total=2) as target:
        clients = [await target.connect(), await target.upgraded()]
        await until(target, 2)
        assert await (await target.connect()).error() == FULL

        for client in clients:
            client.drop()
            await until(target, 1)
            await target.upgraded()
            assert await (await target.connect()).error() == FULL


async def test_an_address_that_has_its_maximum_is_refused_with_a_reason() -> None:
    async with opened(per_address=2) as target:
        await target.upgraded()
        client = await target.upgraded()
        assert await (await target.connect()).error() == TOO_MANY
        client.drop()
        await until(target, 1)

        await target.upgraded()


async def test_a_refused_client_reads_why_although_its_request_came_too_late() -> None:
    async with opened(per_address=1) as target:
        await target.upgraded()
        async with httpx2.AsyncClient(timeout=30) as client:
            reply = await client.post(f"http://127.0.0.1:{target.port}/", content=b"x" * 100_000)

        assert reply.status_code == 429
        assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("5", "true")


async def test_clients_behind_a_trusted_proxy_are_counted_by_their_own_addresses() -> None:
    async with opened(trusted="127.0.0.1", per_address=1) as target:
        first = await target.connect()
        first.send(UPGRADE + CAR + b"\r\n")
        assert b" 101 " in await first.head()
        again, other = await target.connect(), await target.connect()
        again.send(UPGRADE + CAR + b"\r\n")
        other.send(UPGRADE + VAN + b"\r\n")

        assert await again.error() == TOO_MANY
        assert b" 101 " in await other.head()
        first.drop()
        await until(target, 1)
        again = await target.connect()
        again.send(UPGRADE + CAR + b"\r\n")
        assert b" 101 " in await again.head()


async def test_requests_through_one_connection_of_a_proxy_are_counted_while_they_are_answered() -> (
    None
):
    async with opened(trusted="127.0.0.1", per_address=1) as target:
        held = await target.connect()
        held.send(HELD + CAR + b"\r\n")
        while not target.app.begun:
            await asyncio.sleep(0)
        proxy = await target.connect()
        for forwarded, status in ((CAR, b" 429 "), (VAN, b" 200 "), (VAN, b" 200 ")):
            proxy.send(GET + forwarded + b"\r\n")
            head = await proxy.head()
            assert status in head
            await proxy.exactly(int(head.partition(b"content-length: ")[2].split()[0]))
        target.app.release.set()
        await held.head()
        proxy.send(GET + CAR + b"\r\n")
        assert b" 200 " in await proxy.head()


async def test_a_client_that_is_no_proxy_can_not_name_another_address() -> None:
    async with opened(per_address=1) as target:
        client = await target.connect()
        client.send(GET + CAR + b"\r\n")
        await client.head()

        assert target.app.addresses == ["127.0.0.1"]
        assert await (await target.connect()).error() == TOO_MANY


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1", b"203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", [b"[2001:db8::9]:4711"], "2001:db8::/64"),
        ("10.0.0.1", [b"unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9, \xff"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.1", [b"203.0.113.9"], "192.0.2.1"),
        ("::ffff:10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
    ],
)
def test_the_address_is_the_nearest_that_no_trusted_proxy_has(
    peer: str, forwarded: list[bytes], address: str
) -> None:
    assert Proxies(networks("10.0.0.0/8, ::1")).client(peer, forwarded) == address


def test_one_network_of_ipv6_is_one_address() -> None:
    assert group("2001:db8:0:1::1") == group("2001:db8:0:1:ffff::2") != group("2001:db8:0:2::1")
    assert group("::ffff:192.0.2.1") == group("192.0.2.1") == "192.0.2.1"


async def test_without_descriptors_it_says_so_once_and_goes_on_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    class Exhausted(socket.socket):
        """A listening socket of a process that has no descriptor left."""

        def accept(self) -> tuple[socket.socket, object]:
            nonlocal tried
            tried += 1
            if tried <= 5:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("turnstream.ws_server.serve.socket.socket", Exhausted)
    async with opened() as target:
        with caplog.at_level(logging.WARNING):
            begun = time.monotonic()
            client = await target.connect()
            client.send(GET + b"\r\n")
            assert b" 200 " in await client.head()

    # It was tried after each pause, and not meanwhile.
    assert time.monotonic() - begun > 5 * 0.05
    assert 6 <= tried < 20
    (record,) = caplog.records
    assert "no connection can be accepted: Too many open files" in record.getMessage()


def test_the_limit_of_descriptors_is_raised_and_bounds_the_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limit.append(wanted))

    assert connections_allowed(3000) == 3000
    assert limit[-1] == (4096, 4096)
    assert connections_allowed(10_000) == 4096 - 512
    assert "3584 connections are accepted, not 10000" in caplog.text
    limit.append((256, 256))
    assert connections_allowed(10_000) == 192


async def test_an_owner_gets_no_more_sockets_than_its_maximum(
    redis_url: str, redis: "redis.asyncio.Redis", tmp_path: Path
) -> None:
    with serving(redis_url, tmp_path, TURNSTREAM_OWNER_SOCKETS="1") as url:
        async with connect(socket_url(url)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(socket_url(url)).__aenter__()
        async with asyncio.timeout(30):
            while True:
                try:
                    async with connect(socket_url(url)):
                        break
                except InvalidStatus:
                    await asyncio.sleep(0.01)

    assert refused.value.response.status_code == 429
    assert b"too_many_connections" in (refused.value.response.body or b"")


async def test_the_official_sdk_knows_a_refusal_of_a_connection() -> None:
    async with opened(per_address=1) as target:
        await target.upgraded()
        client = AsyncOpenAI(
            base_url=f"http://127.0.0.1:{target.port}/v1", api_key="x", max_retries=0
        )
        async with client:
            with pytest.raises(RateLimitError) as refused:
                await client.models.list()

        assert refused.value.code == "too_many_connections"
