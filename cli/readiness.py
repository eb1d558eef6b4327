"""Checks whether Redis can be used and whether the service can answer a turn."""

import asyncio
import json
from urllib.parse import quote

from turnstream.turns.probe import redis_problem
from turnstream.turns.redis_problem import Cause, RedisProblem

#: Timeout of one check; a node waits for Redis for some of it.
ANSWER_SECONDS = 4.0
#: Pause between two checks of Redis.
PAUSE_SECONDS = 0.05
#: Wildcard addresses of a server, and the address at which a client reaches it.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def wait_for_redis(
    url: str, model: str, seconds: float, *, key_prefix: str = ""
) -> RedisProblem | None:
    """Wait until Redis can take a turn; return why it does not within this time.

    The time starts again while Redis loads its files, however long that takes. What a setting has
    to be changed for is returned at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (
        problem := await redis_problem(url, model, key_prefix=key_prefix, celery=True)
    ) is not None:
        if problem.cause is Cause.LOADING:
            deadline = loop.time() + seconds
        if problem.cause.is_setting or loop.time() >= deadline:
            return problem
        await asyncio.sleep(PAUSE_SECONDS)
    return None


async def readiness_problem(host: str, port: int, model: str) -> str | None:
    """Return why the service cannot answer a turn of a model yet, or None if it can."""
    host = LOOPBACK.get(host, host)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status, body = await get(host, port, f"/readyz?model={quote(model, safe='')}")
    except (OSError, TimeoutError):
        return "the front end does not answer"
    if status == 200:
        return None
    try:
        said = json.loads(body)
        return str(said.get("detail") or said["status"])
    except (ValueError, KeyError, AttributeError):
        return f"the front end answers with status {status}"


async def get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """GET a path and return status and body; the status is 0 if the answer is not HTTP."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    parts = head.split(None, 2)
    return (int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0), body
