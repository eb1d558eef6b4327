"""What clients and owners can make a node or Redis hold, in bytes, beside what is promised.

Each row has a front end of its own, because memory that one attack used is used again by the next.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil  # type: ignore[import-untyped]

from benchmarks.processes import Server, end_on_sigterm, front_end, redis_server
from harness.turn import new_turn
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.errors import TurnError
from turnstream.turns.limits import Limits, OwnerLimits
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn

MODEL = "tiny"
#: Without keys, everybody is this owner.
OWNER = "local"
READERS = 200
#: Events of the answer that nobody reads, and characters of each.
EVENTS, EVENT = 2_000, 250
#: Turns of the deep conversation.
DEPTH = 2_000
#: How long to wait until a front end has sent all that its clients take.
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One attack."""

    name: str
    unit: str
    most: float
    run: Callable[[Path, str], float]


def answered_turn(url: str) -> str:
    """Store the long answer that readers ask for; return its id."""
    settings = TurnSettings(redis_url=url)
    turn = new_turn(model=MODEL, owner=OWNER)

    async def submit() -> None:
        async with open_client(settings, "bench") as turn_client, turn_client.submit(turn):
            pass

    asyncio.run(submit())
    with connect(url) as client:
        claimed = TurnQueue(client, settings, model=MODEL, worker="w").claim(1)
        assert claimed is not None
        text = "x" * EVENT
        events = (
            f'{{"type":"response.output_text.delta","sequence_number":{n},"delta":"{text}"}}'
            for n in range(claimed.seq + 1, EVENTS)
        )
        entries = [Entry(event) for event in events]
        final = Final(status="completed", error="null", response='"id":"x"}', text=text)
        end = Append(
            id=turn.id,
            attempt=1,
            first=claimed.seq + 1,
            entries=(*entries, Entry('{"type":"response.completed"}')),
            final=final,
        )
        Log(client, settings, worker="w").append([end])
    return turn.id


class Client:
    """A WebSocket client that sends what it is told and never reads."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((host, int(port)))
        head = (
            f"GET /v1/responses HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._socket.recv(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer

    def send(self, message: object) -> None:
        """Send one message as JSON."""
        text = json.dumps(message).encode()
        size = len(text)
        if size < 126:
            length = bytes((0x80 | size,))
        elif size < 1 << 16:
            length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
        else:
            length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
        # A mask of zeros changes nothing.
        self._socket.sendall(b"\x81" + length + bytes(4) + text)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@contextmanager
def node(directory: Path, url: str) -> Iterator[tuple[Server, Callable[[], int]]]:
    """Run a front end; yield it, and a function that returns how much it has grown."""
    with front_end(directory, url, MODEL) as server:
        process = psutil.Process(server.process.pid)
        for _ in range(20):
            Client(server.address).close()
        before = process.memory_info().rss
        yield server, lambda: process.memory_info().rss - before


def readers(lanes: int) -> Callable[[Path, str], float]:
    """Return the attack of readers that ask for an answer on so many lanes and read nothing."""

    def run(directory: Path, url: str) -> float:
        turn = answered_turn(url)
        with node(directory, url) as (server, grown), ExitStack() as stack:
            for _ in range(READERS):
                client = Client(server.address)
                stack.callback(client.close)
                for lane in range(lanes):
                    resume = {"type": "turnstream:response.resume", "response_id": turn}
                    client.send(resume | {"stream_id": f"l{lane}"})
            time.sleep(SETTLE_SECONDS)
            return grown() / READERS / 1024

    return run


def waiting_requests(directory: Path, url: str) -> float:
    """Return the MB of a node for one socket that sends requests of 1 MB, which all wait."""
    with connect(url) as client:
        TurnQueue(client, TurnSettings(redis_url=url), model=MODEL, worker="w").heartbeat(
            [], {"context": 64, "temperature": 1.0, "top_p": 1.0, "created": 0}, slots=1
        )
    with node(directory, url) as (server, grown):
        client = Client(server.address)
        for number in range(60):
            message = {"type": "response.create", "input": "\N{GRINNING FACE}" + "x" * 1_000_000}
            client.send(message | {"stream_id": f"l{number % 4}"})
        time.sleep(SETTLE_SECONDS)
        most = grown()
        client.close()
        return most / 1024 / 1024


async def warm_ups(turn_client: TurnClient, count: int, text: str) -> tuple[Turn | None, int]:
    """Chain warm-ups until one is refused; return the last and how many there were."""
    last: Turn | None = None
    for number in range(count):
        turn = new_turn(
            text,
            model=MODEL,
            owner=OWNER,
            generate=False,
            previous_response_id=last.id if last else None,
        )
        try:
            async with turn_client.submit(turn):
                last = turn
        except TurnError:
            return last, number
    return last, count


def large_warm_ups(directory: Path, url: str) -> float:
    """Return the MB of Redis after 515 chained warm-ups of 262 kB."""

    async def run() -> None:
        async with open_client(TurnSettings(redis_url=url), "bench") as turn_client:
            await warm_ups(turn_client, 515, "x" * 262_000)

    with connect(url) as client:
        client.flushall()
        before = client.info("memory")["used_memory"]
        asyncio.run(run())
        return float(client.info("memory")["used_memory"] - before) / 1024 / 1024


def deep_chain(directory: Path, url: str) -> float:
    """Return the ms of Redis for submit and claim of a turn after many others."""
    settings = replace(
        TurnSettings(redis_url=url), limits=OwnerLimits(Limits(warm_ups_per_minute=0))
    )

    async def chain() -> None:
        async with open_client(settings, "bench") as turn_client:
            last, count = await warm_ups(turn_client, DEPTH, "x" * 100)
            assert count == DEPTH
            assert last is not None
            turn = new_turn(model=MODEL, owner=OWNER, previous_response_id=last.id)
            client.config_resetstat()
            async with turn_client.submit(turn):
                pass

    with connect(url) as client:
        client.flushall()
        asyncio.run(chain())
        queue = TurnQueue(client, settings, model=MODEL, worker="w", most_bytes=20_000)
        assert queue.claim(1) is not None
        scripts = client.info("commandstats")["cmdstat_evalsha"]
        return float(scripts["usec"]) / 1000


ROWS = (
    Row("a reader that reads nothing, 1 lane", "kB", 128, readers(1)),
    Row("a reader that reads nothing, 16 resumes", "kB", 256, readers(16)),
    Row("60 requests of 1 MB that wait on one socket", "MB", 64, waiting_requests),
    Row("515 chained warm-ups of 262 kB, in Redis", "MB", 40, large_warm_ups),
    Row("submit and claim after 2,000 turns, in Redis", "ms", 5, deep_chain),
)


def main() -> int:
    end_on_sigterm()
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    holds = True
    print("| attack | turnstream | promised |\n|---|---:|---:|")
    for row in ROWS:
        if only not in row.name:
            continue
        with TemporaryDirectory() as name, redis_server(Path(name)) as url:
            figure = row.run(Path(name), url)
        holds = holds and figure <= row.most
        print(f"| {row.name}, {row.unit} | {figure:.1f} | ≤ {row.most:g} |", flush=True)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
