"""The readers of the relay benchmark, in a process of their own so that their work is not counted.

`python -m benchmarks.readers KIND ADDRESS SOCKETS SLICES` opens that many sockets and says on its
standard output, a line each: `ready` when all of them wait for slices, `delivered` when each has
as many as were to come, and at the end the tally as JSON.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine, Iterable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.slices import Tally, tally

#: After this the tally is made of what has come.
MOST_SECONDS = 40.0
#: So many hundred sockets take a while to open on a busy machine.
OPEN_SECONDS = 30.0

#: What a socket does: it asks for a response and reads it to its end, or it only listens.
TURNS = "turns"
CHANNELS = "channels"

READY = "ready"
DELIVERED = "delivered"

#: The events of a response when it is in line, from there to its first slice, and after its last.
SUBMITTED_EVENTS = 2
OPENING_EVENTS = 3
CLOSING_EVENTS = 4


class Reader:
    """One socket, and all that came on it."""

    def __init__(self, socket: ClientConnection, slices: int) -> None:
        self.frames: list[str] = []
        self._socket = socket
        self._slices = slices

    async def ask(self) -> None:
        """Ask for a response, and wait until it is in line."""
        await self._socket.send(json.dumps({"type": "response.create", "input": "Go on."}))
        await self.read(SUBMITTED_EVENTS)

    async def read(self, frames: int) -> None:
        """Read that many frames."""
        for _ in range(frames):
            self.frames.append(await self._socket.recv(decode=True))

    def tally(self) -> Tally:
        return tally(self.frames, self._slices)


async def run(kind: str, address: str, sockets: int, slices: int) -> Tally:
    """Read everything, saying how far it is."""
    readers = [Reader(socket, slices) for socket in await _open(kind, address, sockets)]
    try:
        async with asyncio.timeout(MOST_SECONDS):
            if kind == TURNS:
                for reader in readers:
                    await reader.ask()
                await _all(reader.read(OPENING_EVENTS) for reader in readers)
            print(READY, flush=True)
            await _all(reader.read(slices) for reader in readers)
            print(DELIVERED, flush=True)
            if kind == TURNS:
                await _all(reader.read(CLOSING_EVENTS) for reader in readers)
    except (TimeoutError, WebSocketException) as exc:
        # What came before counts, the rest is lost.
        print(repr(exc), file=sys.stderr)
    return sum((reader.tally() for reader in readers), Tally(delivered=0, lost=0, misplaced=0))


async def _open(kind: str, address: str, sockets: int) -> list[ClientConnection]:
    def url(number: int) -> str:
        path = "v1/responses" if kind == TURNS else str(number)
        return f"ws://{address}/{path}"

    return await asyncio.gather(
        *(
            connect(
                url(number),
                compression=None,
                ping_interval=None,
                proxy=None,
                open_timeout=OPEN_SECONDS,
            )
            for number in range(sockets)
        )
    )


async def _all(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)
    except* WebSocketException as group:
        raise group.exceptions[0] from group


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=(TURNS, CHANNELS))
    parser.add_argument("address")
    parser.add_argument("sockets", type=int)
    parser.add_argument("slices", type=int)
    print(asyncio.run(run(**vars(parser.parse_args()))).to_json())


if __name__ == "__main__":
    main()
