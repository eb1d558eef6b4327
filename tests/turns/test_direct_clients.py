"""Calls that share one connection get their own replies, also when it is lost or falls silent."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from harness.proxy import Proxy
from turnstream.turns.connection import connect, connect_direct_async, direct
from turnstream.turns.direct_clients import LoopClient


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(urlsplit(redis_url).port or 0) as proxy:
        yield proxy


def url_of(proxy: Proxy, redis_url: str) -> str:
    return redis_url.replace(f":{proxy.target}/", f":{proxy.port}/")


@pytest.fixture
async def client(proxy: Proxy, redis_url: str) -> AsyncIterator[LoopClient]:
    async with connect_direct_async(url_of(proxy, redis_url)) as client:
        yield client


async def echo(client: LoopClient, said: str) -> str:
    reply: bytes = await client.register_script("return ARGV[1]")(args=[said])
    return reply.decode()


async def test_calls_at_the_same_time_share_a_connection_and_get_their_own_replies(
    client: LoopClient, proxy: Proxy
) -> None:
    said = [str(n) for n in range(200)]

    assert await asyncio.gather(*(echo(client, each) for each in said)) == said
    assert proxy.connections == 1


async def test_a_call_that_was_given_up_takes_no_other_calls_reply(client: LoopClient) -> None:
    assert await echo(client, "first") == "first"
    given_up = asyncio.create_task(echo(client, "given up"))
    await asyncio.sleep(0)  # it is sent
    given_up.cancel()

    assert await echo(client, "next") == "next"
    assert given_up.cancelled()


async def test_a_refused_call_ends_neither_the_connection_nor_other_calls(
    client: LoopClient, proxy: Proxy
) -> None:
    wrong = client.register_script("return redis.call('NONSENSE')")()
    refused, said = await asyncio.gather(wrong, echo(client, "a"), return_exceptions=True)

    assert isinstance(refused, ResponseError)
    assert said == "a"
    assert proxy.connections == 1


async def test_calls_are_sent_again_when_the_connection_was_cut(
    client: LoopClient, proxy: Proxy
) -> None:
    await echo(client, "connected")
    proxy.lost_replies = 1
    said = [str(n) for n in range(20)]

    assert await asyncio.gather(*(echo(client, each) for each in said)) == said
    assert proxy.connections == 2


async def test_a_silent_connection_is_given_up_and_the_next_call_gets_another(
    client: LoopClient, proxy: Proxy
) -> None:
    await echo(client, "connected")
    client.seconds = 0.2
    proxy.go_silent()

    with pytest.raises(RedisTimeoutError):
        await echo(client, "lost")
    client.seconds = 10.0
    assert await echo(client, "found") == "found"
    assert proxy.connections == 2


async def test_a_threads_call_is_sent_again_when_its_connection_was_cut(
    proxy: Proxy, redis_url: str
) -> None:
    with connect(url_of(proxy, redis_url)) as shared:
        said = direct(shared).register_script("return ARGV[1]")
        assert await asyncio.to_thread(said, args=["a"]) == b"a"
        proxy.cut()

        assert await asyncio.to_thread(said, args=["b"]) == b"b"
        assert proxy.connections == 2
