"""Workers without an index of their own, as replicas of one service are."""

import signal
from pathlib import Path

import pytest
from redis import Redis

from harness import tiny_llama
from harness.redis_server import RedisServer
from tests.faults.own_redis import Program, eventually, running
from turnstream.turns import keys
from turnstream.workers.name import NAME_LOST

pytestmark = pytest.mark.long


def live(redis: Redis) -> set[str]:
    """Return the names of the workers that sent a heartbeat lately."""
    now, micros = redis.time()  # type: ignore[misc]
    since = now * 1000 + micros // 1000 - 1000
    names: list[str] = redis.zrangebyscore(keys.heartbeats("tiny"), since, "+inf")  # type: ignore[assignment]
    return set(names)


def test_replicas_get_names_and_one_that_was_paused_too_long_ends(tmp_path: Path) -> None:
    model = str(tiny_llama.make(tmp_path / "tiny"))
    environ = {"TURNSTREAM_MODEL": f"tiny={model}", "TURNSTREAM_PROMPT": "llama-2-chat"}
    with RedisServer(tmp_path) as server:
        redis = server.admin

        def worker() -> "running":
            return running("worker", tmp_path, server.url(), **environ)

        with worker() as first:
            eventually(lambda: live(redis) == {"w0"}, first)
            with worker() as second:
                eventually(lambda: live(redis) == {"w0", "w1"}, first, second)
                first.process.send_signal(signal.SIGSTOP)
                eventually(lambda: live(redis) == {"w1"}, second)
                # As after half a minute.
                redis.hdel(keys.worker_indexes("tiny"), "0")
                redis.zrem(keys.heartbeats("tiny"), "w0")
                with worker() as third:
                    eventually(lambda: live(redis) == {"w0", "w1"}, second, third)
                    first.process.send_signal(signal.SIGCONT)
                    assert first.process.wait(timeout=30) == NAME_LOST
                    assert first.says("another worker is called w0 by now")
                    ended_as_told(third)
                eventually(lambda: live(redis) == {"w1"}, second)
            assert redis.hgetall(keys.worker_indexes("tiny")) == {}


def ended_as_told(program: Program) -> None:
    program.process.terminate()
    assert program.process.wait(timeout=30) == 0
