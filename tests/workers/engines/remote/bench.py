"""Waits for what happens on other threads."""

import time
from collections.abc import Callable

from tests.workers.listener import TIMEOUT_SECONDS
from turnstream.workers.engines.remote_engine import RemoteEngine

MakeEngine = Callable[..., RemoteEngine]
PROMPT = [1, 5, 6]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
