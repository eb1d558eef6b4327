"""The burst of one owner, in a process of its own: many sockets that ask on many lanes at once.

`python -m benchmarks.attacks.flood PORT SOCKETS TURNS KEY` opens the sockets, prints `open`, asks
when it reads a line, and prints how many turns were answered, were refused, and were on a socket
that was cut.
"""

import asyncio
import resource
import sys
from collections import Counter

from benchmarks.attacks.target import Connection, upgraded

#: How long answers are waited for.
PATIENCE_SECONDS = 240.0
_ANSWERED = b'"type":"response.completed"'
_REFUSED = (b'"type":"error"', b'"type":"response.failed"')


async def _ask(connection: Connection, turns: int, ends: Counter[str]) -> None:
    """Ask on so many lanes at once, and count how each turn ends."""
    create = {"type": "response.create", "input": "Hi"}
    await connection.send_json(*(create | {"stream_id": f"l{n}"} for n in range(turns)))
    left = turns
    try:
        while left:
            message = await connection.message()
            answered = _ANSWERED in message
            if answered or any(each in message for each in _REFUSED):
                left -= 1
                ends["answered" if answered else "refused"] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        ends["cut"] += left


async def _flood(port: int, sockets: int, turns: int, key: str) -> None:
    connections = [await upgraded(port, key) for _ in range(sockets)]
    print("open", flush=True)
    sys.stdin.readline()
    ends: Counter[str] = Counter()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(_ask(connection, turns, ends))
    print(ends["answered"], ends["refused"], ends["cut"], flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, sockets, turns, key = sys.argv[1:]
    asyncio.run(_flood(int(port), int(sockets), int(turns), key))
