"""Several answers to one request survive the end of a worker, each by itself."""

import json
import signal
from typing import Any

import httpx2
import psutil
from redis import Redis

from harness.service import Service
from tests.faults.conftest import QUESTION
from turnstream.turns import keys

STORY = {name: value for name, value in QUESTION.items() if name != "input"} | {
    "messages": [{"role": "user", "content": QUESTION["input"]}],
    "n": 3,
}
del STORY["max_output_tokens"]
STORY["max_tokens"] = QUESTION["max_output_tokens"]


async def test_every_answer_is_whole_though_a_worker_stopped(
    service: Service, redis: Redis, workers: dict[str, psutil.Process]
) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=90) as http:
        whole = (await http.post("/v1/chat/completions", json=STORY)).json()
        said, ends, struck = ["", "", ""], [], ""
        body: dict[str, Any] = STORY | {"stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                for choice in chunk["choices"]:
                    said[choice["index"]] += choice["delta"].get("content", "")
                    ends += [choice["index"]] if choice["finish_reason"] else []
                if said[0] and not struck:
                    first = chunk["id"].replace("chatcmpl-", "resp_")
                    struck = str(redis.hget(keys.turn(first), "worker"))
                    workers[struck].send_signal(signal.SIGSTOP)

    assert said == [choice["message"]["content"] for choice in whole["choices"]]
    assert sorted(ends) == [0, 1, 2]
    assert int(redis.hget(keys.turn(first), "attempt") or 0) == 2  # type: ignore[arg-type]
