"""The readers of the relay benchmark, in a process of their own, and the count of what they read.

`python -m benchmarks.readers KIND ADDRESS SOCKETS SLICES` opens that many sockets and prints a line
each: `ready` when all of them wait for slices, `delivered` when each has read that many slices, and
at the end the tally as JSON. A slice that was lost or came out of order shows in the tally.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine, Iterable
from dataclasses import asdict, dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.publishers import slice_text

#: Timeout; the tally then counts what has arrived.
READ_SECONDS = 40.0
#: Timeout of opening a socket; hundreds of them take long on a busy machine.
OPEN_SECONDS = 30.0

#: What a socket does: it asks for a response and reads it to its end, or it only reads.
TURNS = "turns"
CHANNELS = "channels"

READY = "ready"
DELIVERED = "delivered"

#: Events of a response while it is queued, then up to its first slice, and after its last one.
SUBMITTED_EVENTS = 2
OPENING_EVENTS = 3
CLOSING_EVENTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Slices by what became of them."""

    delivered: int
    lost: int
    #: Arrived twice, or after a later one.
    misplaced: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            delivered=self.delivered + other.delivered,
            lost=self.lost + other.lost,
            misplaced=self.misplaced + other.misplaced,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def tally(frames: Iterable[str], slices: int) -> Tally:
    """Compare the frames of one socket with the slices that were sent to it, numbers 0 and up."""
    numbers = {slice_text(number): number for number in range(slices)}
    seen: set[int] = set()
    newest, misplaced = -1, 0
    for frame in frames:
        event = json.loads(frame)
        if event["type"] != "response.output_text.delta":
            continue
        number = numbers[event["delta"]]
        misplaced += number <= newest
        newest = max(newest, number)
        seen.add(number)
    return Tally(delivered=len(seen), lost=slices - len(seen), misplaced=misplaced)


class Reader:
    """One socket, and all frames that it received."""

    def __init__(self, socket: ClientConnection, slices: int) -> None:
        self.frames: list[str] = []
        self._socket = socket
        self._slices = slices

    async def ask(self) -> None:
        """Ask for a response, and wait until it is queued."""
        await self._socket.send(json.dumps({"type": "response.create", "input": "Go on."}))
        await self.read(SUBMITTED_EVENTS)

    async def read(self, frames: int) -> None:
        """Read that many frames."""
        for _ in range(frames):
            self.frames.append(await self._socket.recv(decode=True))

    def tally(self) -> Tally:
        """Count the slices that arrived."""
        return tally(self.frames, self._slices)


async def run(kind: str, address: str, sockets: int, slices: int) -> Tally:
    """Read all slices; print `ready` and `delivered` on the way."""
    readers = [Reader(socket, slices) for socket in await _open(kind, address, sockets)]
    try:
        async with asyncio.timeout(READ_SECONDS):
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
        # Slices that have not arrived by now count as lost.
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
    """Wait for all; the first failure cancels the others."""
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
