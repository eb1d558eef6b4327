"""Row 2: what a node holds of uploads that do not end."""

import asyncio
from contextlib import suppress

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import Connection, Target

UPLOADS = 60
#: Of each, sent at once and then no more: less than a form goes to a temporary file with.
BYTES = 900_000
#: How long the node is given to take or refuse them all.
SETTLE_SECONDS = 1.0
_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
)


async def _upload(connection: Connection) -> None:
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 * BYTES}\r\n\r\n"
    )
    # One that is refused is closed while it is sent.
    with suppress(ConnectionError):
        await connection.send(head.encode() + _FORM + b"x" * BYTES)


async def _unfinished(target: Target) -> float:
    """Return the MB by which a node grows with many uploads of one owner."""
    connections = [await target.connect() for _ in range(UPLOADS)]

    async def send() -> None:
        await asyncio.gather(*map(_upload, connections))
        await asyncio.sleep(SETTLE_SECONDS)

    try:
        return await target.growth(send())
    finally:
        for connection in connections:
            connection.drop()


ATTACKS = (
    Attack(
        row="2",
        name=f"{UPLOADS} uploads of 0.9 MB that do not end, with `NODE_BYTES` of 16 MiB",
        unit="MB",
        run=_unfinished,
        # The owner's half, and of each connection what was read and is not counted yet.
        most=40,
        alone=True,
        environ={"TURNSTREAM_NODE_BYTES": str(16 * 1024 * 1024)},
    ),
)
