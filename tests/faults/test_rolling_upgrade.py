"""Nodes and workers of the last release and of this one side by side, then only of this one.

The last release is what PREVIOUS names in git, by default the latest tag.
"""

import asyncio
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.reader import Reader, text_of
from harness.redis_server import RedisServer
from harness.service import ROOT
from tests.faults.conftest import QUESTION
from tests.faults.own_redis import Program, asked, eventually, running
from turnstream.turns import keys

pytestmark = pytest.mark.long

SHORT = {"input": "Hi", "max_output_tokens": 8}


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The tree of the last release."""
    git = ("git", "-C", str(ROOT))
    tag = subprocess.run([*git, "describe", "--tags", "--abbrev=0"], capture_output=True, text=True)
    revision = os.environ.get("PREVIOUS") or tag.stdout.strip()
    if not revision:
        pytest.skip("there is no release before this one: PREVIOUS=COMMIT names one")
    tree = tmp_path / "previous"
    tree.mkdir()
    archive = subprocess.run([*git, "archive", revision], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
    return tree


async def test_workers_then_nodes_are_replaced_and_no_reader_notices(
    previous: Path, tmp_path: Path
) -> None:
    ports = {"old": free_port(), "new": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    environ = {"TURNSTREAM_DTYPE": "float32", "TURNSTREAM_DRAIN_SECONDS": "0"}
    trees = {"old": previous, "new": ROOT}
    with RedisServer(tmp_path) as server, ExitStack() as stack:

        def start(command: str, age: str, **more: str) -> Program:
            own = environ | {
                "PYTHONPATH": str(trees[age]),
                "TURNSTREAM_PORT": str(ports[age]),
                "TURNSTREAM_NODE": age,
                **more,
            }
            return stack.enter_context(running(command, tmp_path, server.url(), **own))

        async def until_ready(age: str, workers: int) -> None:
            def ready() -> bool:
                live = server.admin.zcard(keys.heartbeats("demo")) == workers
                return live and asked(f"{urls[age]}/readyz")[0] == 200

            await asyncio.to_thread(eventually, ready, *programs)

        old_node = start("serve", "old")
        old_worker = start("worker", "old", TURNSTREAM_WORKER_INDEX="0")
        programs = [old_node, old_worker]
        await until_ready("old", 1)
        _, first = await asyncio.to_thread(asked, f"{urls['old']}/v1/responses", SHORT)

        programs.append(start("worker", "new"))
        await until_ready("old", 2)
        programs.append(start("serve", "new"))
        await until_ready("new", 2)
        # Side by side: some of these turns are of the old worker, at each of the nodes.
        readers = [Reader(urls[age]) for age in ("old", "new") for _ in range(4)]
        await asyncio.gather(*(reader.read(until="delta", **QUESTION) for reader in readers))
        # First the workers: the new one goes on with all turns.
        await asyncio.to_thread(end, old_worker)
        programs.remove(old_worker)
        await asyncio.to_thread(end, old_node)
        programs.remove(old_node)
        for reader in readers:
            reader.url = Reader(urls["new"]).url
        await asyncio.gather(*(reader.read() for reader in readers))
        answers = [
            await asyncio.to_thread(asked, f"{urls['new']}/v1/responses/{reader.id}")
            for reader in readers
        ]
        after = SHORT | {"previous_response_id": first["id"]}
        _, second = await asyncio.to_thread(asked, f"{urls['new']}/v1/responses", after)

    assert [text_of(answer) for _, answer in answers] == [reader.text for reader in readers]
    assert second["status"] in ("completed", "incomplete")


def end(program: Program) -> None:
    program.process.terminate()
    # A front end ends as the signal says.
    assert program.process.wait(timeout=30) in (0, -signal.SIGTERM), program.log.read_text()
