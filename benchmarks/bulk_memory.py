"""Peak memory of the front end and of Redis while a batch runs, by the size of its file.

Only the worker is a stub; front end and Redis are the real ones and every line is answered.
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
#: Interval between two lines of progress.
PROGRESS_SECONDS = 30.0
#: Redis's memory peaks while it rewrites its append-only file, which a short run would never cause:
#: every run starts a rewrite whenever this share of its lines has been answered.
REWRITE_SHARE = 0.2
_OVER = ("completed", "failed", "expired", "cancelled")


class NotAnswered(Exception):
    """A batch ended with unanswered lines; its figures are not valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Peak memory during one batch."""

    lines: int
    #: Resident bytes of the front end, which runs the batch.
    front_end: int
    #: `used_memory_peak` of Redis.
    redis: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunningService:
    """A front end with a stub worker."""

    process: Process
    url: str
    client: "redis.Redis"


@contextmanager
def service(directory: Path) -> Iterator[RunningService]:
    """Run Redis, a front end and the stub worker."""
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
    """Run a batch of this many tiny lines in a service of its own.

    Raises:
        NotAnswered: a line was not answered.
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
        front_end, reported, rewritten = 0, begun, REWRITE_SHARE
        while batch["status"] not in _OVER:
            time.sleep(LOOK_SECONDS)
            front_end = max(front_end, psutil.Process(local_service.process.pid).memory_info().rss)
            looked = http.get(f"/v1/batches/{batch['id']}")
            # On a stalled machine the front end may answer 503; the last state is kept then.
            batch = looked.json() if looked.is_success else batch
            if batch["request_counts"]["completed"] >= rewritten * lines:
                rewritten += REWRITE_SHARE
                with suppress(RedisError):
                    local_service.client.bgrewriteaof()
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                counts = batch["request_counts"]
                print(f"{reported - begun:.0f} s: {batch['status']} {counts}", file=sys.stderr)
        if batch["request_counts"]["completed"] != lines:
            raise NotAnswered(json.dumps(batch))
        memory = local_service.client.info("memory")
        return Peak(
            lines=lines,
            front_end=front_end,
            redis=int(memory["used_memory_peak"]),  # type: ignore[index]
            seconds=time.monotonic() - begun,
        )
