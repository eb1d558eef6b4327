"""A front end that ends without being asked says so by its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ports import free_port

ROOT = Path(__file__).parents[2]
#: A front end of which a background task dies after so many seconds.
BROKEN = """\
import asyncio, sys
from turnstream.turns.relay import Relay
async def die(self):
    await asyncio.sleep(float(sys.argv[1]))
    raise RuntimeError("a fault in the program")
Relay.heartbeat = die
from turnstream.ws_server.serve import run
sys.exit(run())
"""


@pytest.mark.parametrize("seconds", ["0", "0.5"])
def test_a_node_whose_background_task_died_ends_with_a_code_and_the_reason(
    redis_url: str, seconds: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN, seconds],
        env={
            **os.environ,
            "TURNSTREAM_REDIS_URL": redis_url,
            "TURNSTREAM_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 1, ended.stderr
    assert "a fault in the program" in ended.stderr
