"""Row 6: a node that is told to stop tells all its sockets."""

import asyncio
import time
from contextlib import suppress

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import PATIENCE_SECONDS, Connection, Target

IDLE, ASKING = 800, 200
#: The body of a close frame: 1012, the service restarts.
_RESTARTS = (1012).to_bytes(2, "big")


async def _stop(target: Target) -> float:
    """Return the seconds until the process has ended, if it has told all sockets before."""
    connections = [await target.upgraded() for _ in range(IDLE + ASKING)]
    for connection in connections[:ASKING]:
        await connection.send_json({"type": "response.create", "input": "Hi"})
    await target.settled()
    begun = time.perf_counter()
    target.process.popen.terminate()
    told = await asyncio.gather(*map(_is_told, connections))
    await asyncio.to_thread(target.process.popen.wait, PATIENCE_SECONDS)
    seconds = time.perf_counter() - begun
    for connection in connections:
        connection.drop()
    return seconds if all(told) else PATIENCE_SECONDS


async def _is_told(connection: Connection) -> bool:
    """Answer the close frame, as a client does, and return whether it says why."""
    read = b""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while piece := await connection.reader.read(4096):
                read = (read + piece)[-4096:]
                if _RESTARTS in read:
                    await connection.send(b"\x88\x82" + bytes(4) + _RESTARTS)
    return _RESTARTS in read


ATTACKS = (
    Attack(
        row="6",
        name="SIGTERM with 1,000 sockets, 200 of them asking: all told, and ended",
        unit="s until ended",
        run=_stop,
        most=3,
    ),
)
