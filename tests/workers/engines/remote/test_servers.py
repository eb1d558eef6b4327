"""Which servers the engine `remote` uses, and when it stops or starts again."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.workers.contract.asking import LENGTH, greedy
from tests.workers.engines.remote.bench import PROMPT, MakeEngine, wait_until
from tests.workers.engines.remote.stand_in_vllm import StandIn
from tests.workers.listener import start
from turnstream.workers.engine import CheckpointError, EngineDead, FinishReason


def test_the_engine_dies_when_no_server_can_be_used_for_long(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server, timeout=0.5)
    server.flowing.clear()
    turn = start(engine, PROMPT, greedy(10))
    server.healthy = False
    finish = turn.wait()

    assert finish.reason is FinishReason.ERROR
    assert "no server could be used for 0.5 s" in finish.message
    assert server.url in finish.message
    assert not engine.healthy()
    with pytest.raises(EngineDead):
        start(engine, PROMPT, greedy(10))


def test_a_server_that_comes_back_is_used_again(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server)
    server.healthy = False
    wait_until(lambda: engine.short_of_memory)
    turn = start(engine, PROMPT, greedy(10))
    server.healthy = True

    assert turn.wait() == LENGTH
    assert engine.healthy()


def test_an_engine_waits_for_its_first_server(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    server.healthy = False
    timer = threading.Timer(0.2, lambda: setattr(server, "healthy", True))
    timer.start()

    assert start(make_engine(server), PROMPT, greedy(2)).wait() == LENGTH
    timer.join()


@pytest.mark.parametrize(
    ("server", "settings", "reason"),
    [
        ({}, {"model": "other"}, "it has no model other, but tiny; TURNSTREAM_REMOTE_MODEL can"),
        ({"key": "secret"}, {"keys": ("wrong",)}, "HTTP 401: Unauthorized; TURNSTREAM_REMOTE_API"),
        ({"generate": False, "completions": False}, {}, "returns no token ids for the model tiny"),
    ],
)
def test_a_server_that_does_not_fit_is_refused_at_start(
    servers: Callable[..., StandIn],
    make_engine: MakeEngine,
    server: dict[str, Any],
    settings: dict[str, Any],
    reason: str,
) -> None:
    running = servers(**server)
    with pytest.raises(CheckpointError, match=f"^engine remote: {running.url}: .*{reason}"):
        make_engine(running, **settings)


def test_each_server_gets_its_key_and_an_adapter_is_found_by_its_name(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    both = [servers(key="a"), servers(key="b")]
    for server in both:
        server.models = [
            {"id": "base", "max_model_len": 500},
            {"id": "tiny", "parent": "base"},
        ]
    engine = make_engine(*both, keys=("a", "b"))

    assert engine.context == 500
    assert all(server.usable for server in engine._pool.servers)
    assert engine._pool.servers[0].abilities.model == "tiny"


@pytest.mark.long
def test_the_worker_is_imported_and_reads_a_model_without_torch() -> None:
    program = """
import sys
for name in ("torch", "safetensors.torch"):
    sys.modules[name] = None
import turnstream.workers.worker
from turnstream.workers.engines import load_remote
load_remote.RemoteEngine = lambda *_, **settings: sys.exit(f"reached with {settings['name']}")
load_remote.load_remote(
    load_remote.RemoteSettings(urls=("http://127.0.0.1:1",)),
    model="demo", name="demo", slots=None, context=None, after_step=lambda: None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "reached with demo", done.stderr
