"""Connections that are made at once all know every Sentinel afterwards."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from turnstream.turns import sentinel_pools
from turnstream.turns.sentinel_url import SentinelUrl, sentinel_url

STATE = {"ip": "127.0.0.1", "port": 6379, "is_master": True}
PRIMARY = {"main": STATE | {"is_sdown": False, "is_odown": False, "num-other-sentinels": 2}}


def url() -> SentinelUrl:
    read = sentinel_url("sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/main/0")
    assert read is not None
    return read


class AsyncSentinel:
    """A Sentinel that takes its time."""

    def __init__(self, *, dead: bool = False) -> None:
        self._dead = dead

    async def sentinel_masters(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self._dead:
            raise RedisConnectionError
        return PRIMARY


class ThreadSentinel:
    """A Sentinel that replies when all who ask have asked, or does not wait for them."""

    def __init__(self, *, dead: bool = False) -> None:
        self._dead = dead
        self._asked = threading.Barrier(2)

    def sentinel_masters(self) -> dict[str, Any]:
        if self._dead:
            raise RedisConnectionError
        with suppress(threading.BrokenBarrierError):
            self._asked.wait(0.2)
        return PRIMARY


async def test_a_node_that_connects_twice_at_once_forgets_no_sentinel() -> None:
    pool: Any = sentinel_pools.async_pool(url(), blocking=True)
    every = [AsyncSentinel(dead=True), AsyncSentinel(), AsyncSentinel()]
    pool.sentinel_manager.sentinels = list(every)

    await asyncio.gather(*(pool.get_master_address() for _ in range(2)))

    assert set(pool.sentinel_manager.sentinels) == set(every)


def test_a_worker_that_connects_twice_at_once_forgets_no_sentinel() -> None:
    pool: Any = sentinel_pools.pool(url())
    every = [ThreadSentinel(dead=True), ThreadSentinel(), ThreadSentinel()]
    pool.sentinel_manager.sentinels = list(every)

    threads = [threading.Thread(target=pool.get_master_address) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(pool.sentinel_manager.sentinels) == set(every)
