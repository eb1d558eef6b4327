"""What feeding a batch takes in memory, by the size of its file: the front end's, and Redis's.

Both are real, and so is the whole way of a line; only the engine is a stub.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil  # type: ignore[import-untyped]
import redis
from redis.exceptions import RedisError

from benchmarks.processes import (
    Process,
    answers_http,
    python,
    redis_server,
    running,
    server,
)
from benchmarks.stub_worker import MODEL

LOOK_SECONDS = 0.2
#: How often it is said how far a long run is.
SAY_SECONDS = 30.0
#: Redis takes most while it rewrites its file, which a short run would not come to by itself: each
#: is told to do so whenever so much more is done.
REWRITE_SHARE = 0.2
_OVER = ("completed", "failed", "expired", "cancelled")


class NotAnswered(Exception):
    """A batch did not end well, so its figures mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most that was taken while a batch ran."""

    lines: int
    #: Resident bytes of the front end, which is the feeder's process.
    feeder: int
    #: `used_memory_peak` of Redis.
    redis: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunningService:
    """A front end with a stubbed worker."""

    process: Process
    url: str
    client: "redis.Redis"


@contextmanager
def service(directory: Path) -> Iterator[RunningService]:
    """Run Redis, a front end and the stub."""
    with redis_server(directory) as url, redis.Redis.from_url(url, protocol=2) as client:
        environ = {"TURNSTREAM_REDIS_URL": url, "TURNSTREAM_FILES": str(directory / "files")}
        command = python("turnstream", "serve")
        stub = python("benchmarks.stub_worker")
        with (
            server(
                "serve",
                *command,
                directory=directory,
                redis_url=url,
                model=MODEL,
                environ=environ,
            ) as front,
            running("stub", *stub, directory=directory, environ=environ) as worker,
        ):
            base = f"http://{front.address}"
            worker.wait_until(lambda: answers_http(f"{base}/readyz"))
            yield RunningService(front.process, base, client)


def measure(directory: Path, lines: int) -> Peak:
    """Have a file of so many tiny lines answered, in a service of its own.

    Raises:
        NotAnswered: not every line was.
    """
    directory.mkdir()
    file = directory / "in.jsonl"
    with file.open("w") as out:
        for number in range(lines):
            body = {"input": "hi", "max_output_tokens": 1}
            line = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/responses"}
            out.write(json.dumps(line | {"body": body}) + "\n")
    with (
        service(directory) as local_service,
        httpx2.Client(base_url=local_service.url, timeout=600) as http,
    ):
        begun = time.monotonic()
        with file.open("rb") as content:
            form = {"purpose": "batch"}
            uploaded = http.post("/v1/files", data=form, files={"file": ("in.jsonl", content)})
        asked = {
            "input_file_id": uploaded.json()["id"],
            "endpoint": "/v1/responses",
            "completion_window": "24h",
        }
        batch = http.post("/v1/batches", json=asked).json()
        feeder, said, rewritten = 0, begun, REWRITE_SHARE
        while batch["status"] not in _OVER:
            time.sleep(LOOK_SECONDS)
            feeder = max(feeder, psutil.Process(local_service.process.pid).memory_info().rss)
            looked = http.get(f"/v1/batches/{batch['id']}")
            # On a machine that stalls a node may say for a moment that Redis is away.
            batch = looked.json() if looked.is_success else batch
            if batch["request_counts"]["completed"] >= rewritten * lines:
                rewritten += REWRITE_SHARE
                with suppress(RedisError):
                    local_service.client.bgrewriteaof()
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                counts = batch["request_counts"]
                print(f"{said - begun:.0f} s: {batch['status']} {counts}", file=sys.stderr)
        if batch["request_counts"]["completed"] != lines:
            raise NotAnswered(json.dumps(batch))
        memory = local_service.client.info("memory")
        return Peak(
            lines=lines,
            feeder=feeder,
            redis=int(memory["used_memory_peak"]),  # type: ignore[index]
            seconds=time.monotonic() - begun,
        )
