"""Injects faults; each kind has random times of its own."""

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import psutil
import redis.asyncio
from redis.exceptions import RedisError

from harness.proxy import Proxy
from harness.service import Service
from turnstream.turns.ids import new_response_id
from turnstream.turns.tasks import end
from turnstream.turns.wake_up import WakeUp, queue_of

MODEL = "demo"
WORKERS = 3

#: Mean seconds between two faults of a kind.
EVERY = {
    "sockets cut": 1.0,
    "sockets silent": 8.0,
    "subscription killed": 1.5,
    "connections killed": 4.0,
    "wake-ups doubled": 1.0,
    "wake-ups lost": 1.0,
    "worker SIGKILL": 12.0,
    "worker SIGSTOP, SIGCONT": 8.0,
    "worker SIGTERM": 25.0,
    "node SIGKILL": 20.0,
    "Redis SIGSTOP, SIGCONT": 12.0,
    "Redis SIGKILL": 40.0,
}


class Faults:
    """Injects faults into one service and counts them."""

    def __init__(
        self, service: Service, proxy: Proxy, store: "redis.asyncio.Redis", draw: random.Random
    ) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(EVERY, 0))
        self._service = service
        self._proxy = proxy
        self._store = store
        self._draw = draw
        self._wake_up = WakeUp()
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "sockets cut": self._cut,
            "sockets silent": self._silence,
            "subscription killed": self._kill_subscription,
            "connections killed": self._kill_connections,
            "wake-ups doubled": self._double_wake_ups,
            "wake-ups lost": self._lose_wake_ups,
            "worker SIGKILL": lambda: self._signal("worker", signal.SIGKILL),
            "worker SIGSTOP, SIGCONT": lambda: self._stop_and_continue("worker", 1.5, 5.0),
            "worker SIGTERM": lambda: self._signal("worker", signal.SIGTERM),
            "node SIGKILL": lambda: self._signal("serve", signal.SIGKILL),
            "Redis SIGSTOP, SIGCONT": lambda: self._stop_and_continue("redis", 0.5, 4.0),
            "Redis SIGKILL": lambda: self._signal("redis", signal.SIGKILL),
        }

    async def run(self) -> None:
        """Inject faults until cancelled; a stopped process is continued then."""
        tasks = [asyncio.create_task(self._repeat(*each)) for each in self._kinds.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            # A task group cancels once, and redis-py may swallow that: faults would go on for ever.
            await end(tasks)

    async def _repeat(self, kind: str, fault: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._draw.expovariate(1 / EVERY[kind]))
            # A process may have ended already, and Redis may be down.
            with contextlib.suppress(RedisError, OSError, TimeoutError, psutil.Error, LookupError):
                await fault()
                self.counts[kind] += 1

    async def _cut(self) -> None:
        self._proxy.cut(self._draw.random())

    async def _silence(self) -> None:
        self._proxy.go_silent(self._draw.random())

    async def _kill_subscription(self) -> None:
        await self._store.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _kill_connections(self) -> None:
        await self._store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def _double_wake_ups(self) -> None:
        queue = queue_of(MODEL, f"w{self._draw.randrange(WORKERS)}")
        wake_up = self._wake_up.text(new_response_id()).replace("@queue@", queue)
        await self._store.lpush(queue, *[wake_up] * 10)

    async def _lose_wake_ups(self) -> None:
        await self._store.delete(*(queue_of(MODEL, f"w{index}") for index in range(WORKERS)))

    async def _signal(self, name: str, fault: signal.Signals) -> None:
        (await self._pick(name)).send_signal(fault)

    async def _stop_and_continue(self, name: str, least: float, most: float) -> None:
        process = await self._pick(name)
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self._draw.uniform(least, most))
        finally:
            # Another fault may have killed it; that error must not take the place of a cancel.
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    async def _pick(self, name: str) -> psutil.Process:
        return self._draw.choice(await asyncio.to_thread(processes, self._service, name))


def processes(service: Service, name: str) -> list[psutil.Process]:
    """Return the running `worker`, `serve` or `redis` processes, not their guards."""
    found = []
    for process in service.family():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if any("guard.py" in word for word in line):
                continue
            # A Redis server rewrites its command line.
            if line[-1:] == [name] or (name == "redis" and "-server" in "".join(line)):
                found.append(process)
    return found
