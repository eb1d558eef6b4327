"""A batch has each line once in its output, with the text it would have had, whatever breaks."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from redis import Redis
from redis.exceptions import RedisError

from harness.service import Service
from tests.effort import examples
from tests.faults.conftest import Question, until_all_work, worker_names

LINES = examples(36, 160)
#: A temperature at which each seed gives another answer.
SEEDS = 6
TIMEOUT_SECONDS = 180.0
OVER = ("completed", "failed", "expired", "cancelled")

Undisturbed = Callable[[Question], str]
Fault = Callable[[Service, Redis], Awaitable[None]]


def question(number: int) -> Question:
    return {
        "input": "Write a long story.",
        "temperature": 2,
        "seed": number % SEEDS,
        "max_output_tokens": 60,
    }


class Client:
    """Repeats requests while the service fails."""

    def __init__(self, service: Service) -> None:
        self._http = httpx2.Client(base_url=f"{service.url}/v1", timeout=30)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    async def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                try:
                    answer = await asyncio.to_thread(self._http.request, method, path, **options)
                    if answer.status_code < 500:
                        return answer.raise_for_status()
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def start(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", content)}}
        file = (await self.ask("POST", "/files", **form)).json()
        asked = {
            "input_file_id": file["id"],
            "endpoint": "/v1/responses",
            "completion_window": "24h",
        }
        batch: dict[str, Any] = (await self.ask("POST", "/batches", json=asked)).json()
        return batch

    async def until(self, id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                batch: dict[str, Any] = (await self.ask("GET", f"/batches/{id}")).json()
                if done(batch):
                    return batch
                await asyncio.sleep(0.05)

    async def read(self, id: str | None) -> list[dict[str, Any]]:
        if id is None:
            return []
        text = (await self.ask("GET", f"/files/{id}/content")).text
        return [json.loads(line) for line in text.splitlines()]


async def kill_node(service: Service, redis: Redis) -> None:
    service.child("serve").kill()


async def end_node(service: Service, redis: Redis) -> None:
    service.child("serve").terminate()


async def kill_worker(service: Service, redis: Redis) -> None:
    next(iter(worker_names(service).values())).kill()


async def kill_redis(service: Service, redis: Redis) -> None:
    service.child("redis").kill()


async def kill_connections(service: Service, redis: Redis) -> None:
    for _ in range(20):
        redis.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "fault",
    [
        kill_node,
        pytest.param(kill_worker, marks=pytest.mark.long),
        kill_redis,
        pytest.param(end_node, marks=pytest.mark.long),
        pytest.param(kill_connections, marks=pytest.mark.long),
    ],
)
async def test_each_line_is_in_the_output_once_after_two_faults(
    service: Service, redis: Redis, undisturbed: Undisturbed, fault: Fault
) -> None:
    await until_all_work(service, redis)
    expected = [undisturbed(question(seed)) for seed in range(SEEDS)]
    lines = [
        {"custom_id": f"c{n}", "method": "POST", "url": "/v1/responses", "body": question(n)}
        for n in range(LINES)
    ]
    with Client(service) as client:
        batch = await client.start(lines)
        for share in (0.1, 0.5):
            await client.until(
                batch["id"], lambda batch, share=share: answered(batch) >= share * LINES
            )
            await fault(service, redis)
        batch = await client.until(batch["id"], lambda batch: batch["status"] in OVER)
        results = await client.read(batch["output_file_id"])

    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    assert batch["error_file_id"] is None
    assert Counter(r["custom_id"] for r in results) == Counter(line["custom_id"] for line in lines)
    for result in results:
        [item] = result["response"]["body"]["output"]
        number = int(result["custom_id"].removeprefix("c"))
        assert item["content"][0]["text"] == expected[number % SEEDS]
    assert nothing_left(redis)


def answered(batch: dict[str, Any]) -> int:
    counts: dict[str, int] = batch["request_counts"]
    return counts["completed"]


def nothing_left(redis: Redis) -> bool:
    """Return whether the batch has left no list and no commits behind."""
    try:
        return not [key for key in redis.scan_iter(match="ts:batch-*") if key != "ts:batch-leases"]
    except RedisError:
        return False
