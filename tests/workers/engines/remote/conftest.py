"""Stand-ins for vLLM's servers, and engines in front of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.workers.engines.remote.bench import MakeEngine
from tests.workers.engines.remote.stand_in_vllm import VOCABULARY, StandIn
from turnstream.workers.engines import remote_server, server_pool
from turnstream.workers.engines.remote_engine import RemoteEngine
from turnstream.workers.remote_settings import RemoteSettings


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at servers more often than they are in earnest."""
    monkeypatch.setattr(server_pool, "HEALTH_SECONDS", 0.05)
    monkeypatch.setattr(remote_server, "PAUSE_SECONDS", 0.02)


@pytest.fixture
def servers() -> Iterator[Callable[..., StandIn]]:
    """Start a stand-in."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(StandIn(**settings))


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Start an engine in front of some stand-ins."""
    made: list[RemoteEngine] = []

    def make(*servers: StandIn, slots: int | None = None, **settings: Any) -> RemoteEngine:
        engine = RemoteEngine(
            RemoteSettings(urls=tuple(server.url for server in servers), **settings),
            name="tiny",
            vocabulary=VOCABULARY,
            eos_ids=frozenset(),
            after_step=lambda: None,
            slots=slots,
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop(0)
