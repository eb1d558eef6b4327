"""Several front-end processes on one port: spread, restarted, drained, and a node each."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from harness.ports import free_port
from harness.service import ROOT
from turnstream.cli.main import main

PATIENCE_SECONDS = 60.0
SOCKETS = 40


class Front:
    """A running `turnstream serve --processes 2`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def nodes(self) -> list[psutil.Process]:
        """Return the front-end processes, without their guards."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "guard.py" not in " ".join(each.cmdline()):
                    found.append(each)
        return found

    def serving(self) -> Counter[int]:
        """Return how many connections each process has."""
        return Counter(
            {
                node.pid: len([c for c in node.net_connections() if c.laddr.port == self.port])
                - 1  # its listening socket
                for node in self.nodes()
            }
        )

    def listening(self) -> bool:
        try:
            return len(self.nodes()) == 2 and min(self.serving().values()) >= 0
        except (psutil.Error, ValueError):
            return False


@pytest.fixture
def front(redis_url: str, redis: Redis, tmp_path: Path) -> Iterator[Front]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")}
    environ |= {"TURNSTREAM_REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
    port, log = free_port(), tmp_path / "log"
    command = ("serve", "--port", str(port), "--processes", "2")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "turnstream", *command],
            env=environ,
            cwd=tmp_path,
            stderr=output,
            start_new_session=True,
        )
    front = Front(process, port, log)
    until(front.listening, front)
    yield front
    if process.poll() is None:
        process.terminate()
    assert process.wait(timeout=30) == 0, log.read_text()


def until(claim: "Callable[[], bool]", front: Front) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < deadline, front.log.read_text()
        time.sleep(0.05)


async def test_processes_share_the_sockets_and_one_that_dies_is_replaced(
    front: Front, redis: Redis
) -> None:
    url = f"ws://127.0.0.1:{front.port}/v1/responses"
    sockets = [await connect(url) for _ in range(SOCKETS)]
    spread = front.serving()
    channels = await redis.pubsub_channels("ts:node:*")
    killed = front.nodes()[0]
    killed.kill()
    until(lambda: killed.pid not in [node.pid for node in front.nodes()], front)
    # At once: the other process serves all that connect now.
    late = [await connect(url) for _ in range(4)]
    until(front.listening, front)
    front.process.send_signal(signal.SIGINT)
    told = await asyncio.gather(*(last_frame(socket) for socket in late))
    await asyncio.to_thread(front.process.wait, 30)

    # Less than one in a million for a fair spread.
    assert min(spread.values()) >= 5, spread
    assert sum(spread.values()) == SOCKETS
    assert sorted(name[-2:] for name in channels) == [b"-0", b"-1"]
    assert told == ["turnstream:server.draining"] * len(late)
    for each in sockets:
        await each.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", front.port))


async def last_frame(socket: "ClientConnection") -> str:
    frames = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(json.loads(await socket.recv())["type"])
    return str(frames[-1])


def test_a_port_in_use_is_an_error_and_not_shared(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("PORT", "PROCESSES"):
        monkeypatch.setenv(f"TURNSTREAM_{name}", "")  # restores what `main` sets
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        assert main(["serve", "--port", str(port), "--processes", "2"]) == 1

    assert f"cannot listen on 127.0.0.1 port {port}" in capfd.readouterr().err
