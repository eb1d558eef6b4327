"""The engine `remote` in front of stand-ins for vLLM's servers; tests/vllm has the real one."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.workers.contract.asking import CANCELLED, LENGTH, greedy
from tests.workers.engines.stand_in_vllm import VOCABULARY, StandIn, answer_to
from tests.workers.listener import TIMEOUT_SECONDS, Listener, start
from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.engine import CheckpointError, EngineDead, FinishReason
from turnstream.workers.engines import remote_server, server_pool
from turnstream.workers.engines.remote_engine import RemoteEngine
from turnstream.workers.remote_settings import RemoteSettings

MakeEngine = Callable[..., RemoteEngine]
PROMPT = [1, 5, 6]


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


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_server_has_the_parameters_of_a_turn_and_its_owner_as_salt(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server)
    listener = Listener()
    handle = engine.submit(PROMPT, greedy(9), listener, cache=CacheScope("ann"))

    assert listener.wait() == LENGTH
    assert listener.ids == answer_to(PROMPT, 9)
    assert handle.cached_tokens == 7
    [asked] = server.asked
    assert (asked["cache_salt"], asked["model"], asked["token_ids"]) == ("ann", "tiny", PROMPT)
    params = asked["sampling_params"]
    assert (params["max_tokens"], params["temperature"], params["detokenize"]) == (9, 0, False)


def test_a_server_without_the_endpoint_for_ids_is_asked_for_completions(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers(generate=False)
    turn = start(make_engine(server), PROMPT, greedy(9))
    turn.wait()

    assert turn.ids == answer_to(PROMPT, 9)
    assert server.asked[0]["return_token_ids"] is True


def test_when_a_server_breaks_in_mid_answer_another_one_goes_on(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    broken, whole = servers(), servers()
    broken.breaks_after = 4
    engine = make_engine(broken, whole)
    turns = [start(engine, [1, n], greedy(30)) for n in range(6)]

    assert [turn.wait() for turn in turns] == [LENGTH] * 6
    assert [turn.ids for turn in turns] == [answer_to([1, n], 30) for n in range(6)]
    assert broken.asked
    continued = [each for each in whole.asked if len(each["token_ids"]) > 2]
    assert {each["sampling_params"]["max_tokens"] for each in continued} >= {26}


def test_a_server_that_says_nothing_any_more_loses_its_turns(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    silent, other = servers(), servers()
    engine = make_engine(silent, other)
    silent.flowing.clear()
    turns = [start(engine, [1, n], greedy(10)) for n in range(4)]
    wait_until(lambda: len(silent.asked) == 2)
    silent.healthy = False

    assert [turn.wait() for turn in turns] == [LENGTH] * 4
    assert [turn.ids for turn in turns] == [answer_to([1, n], 10) for n in range(4)]


def test_a_server_that_is_slower_than_the_timeout_loses_its_turns(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    silent, other = servers(), servers()
    engine = make_engine(silent, other, timeout=1.0)
    silent.flowing.clear()
    turns = [start(engine, [1, n], greedy(10)) for n in range(2)]

    assert [turn.wait() for turn in turns] == [LENGTH] * 2


def test_a_turn_that_three_servers_fail_with_ends_with_an_error(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    server.status = 500
    finish = start(make_engine(server), PROMPT, greedy(10)).wait()

    assert finish.reason is FinishReason.ERROR
    assert finish.message == f"3 servers failed with it, at last {server.url}: HTTP 500: so it is"
    server.status = 200
    assert len(server.asked) == 3


def test_what_a_server_refuses_fails_at_once_and_the_server_stays(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server)
    server.status = 400
    finish = start(engine, PROMPT, greedy(10)).wait()
    server.status = 200

    assert finish.message == f"{server.url} refused the turn: HTTP 400: so it is"
    assert start(engine, PROMPT, greedy(2)).wait() == LENGTH
    assert len(server.asked) == 2


def test_cancelling_closes_the_connection(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server)

    def cancel_at_two(listener: Listener) -> None:
        if len(listener.ids) == 2:
            server.flowing.clear()
            listener.cancel()

    assert start(engine, PROMPT, greedy(900), cancel_at_two).wait() == CANCELLED
    assert server.aborted.wait(TIMEOUT_SECONDS)
    wait_until(lambda: engine.free_slots == engine.capacity)


def test_turns_are_spread_and_more_than_a_servers_share_wait(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    both = [servers(), servers()]
    engine = make_engine(*both, concurrency=2)
    assert (engine.capacity, engine.free_slots) == (4, 4)
    for server in both:
        server.flowing.clear()
    turns = [start(engine, [1, n], greedy(3)) for n in range(6)]
    wait_until(lambda: [len(server.asked) for server in both] == [2, 2])
    assert (engine.free_slots, engine.short_of_memory) == (0, True)
    for server in both:
        server.flowing.set()
    assert [turn.wait() for turn in turns] == [LENGTH] * 6


def test_the_next_turn_of_a_conversation_goes_where_the_last_one_was(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    both = [servers(), servers()]
    engine = make_engine(*both)
    texts = [[n] * 200 for n in range(4)]
    for _ in range(3):
        for text in texts:
            turn = start(engine, text, greedy(20))
            turn.wait()
            text += turn.ids
    began = [[each["token_ids"][0] for each in server.asked] for server in both]

    assert sorted(map(sorted, began)) == sorted([[0] * 3 + [2] * 3, [1] * 3 + [3] * 3])


def test_turns_of_low_priority_wait_for_the_others(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server, slots=1)
    server.flowing.clear()
    first = start(engine, [1, 1], greedy(3))
    wait_until(lambda: len(server.asked) == 1)
    low, high = Listener(), Listener()
    engine.submit([1, 2], greedy(3), low, low_priority=True)
    engine.submit([1, 3], greedy(3), high)
    server.flowing.set()
    for listener in (first, low, high):
        listener.wait()

    assert [each["token_ids"] for each in server.asked] == [[1, 1], [1, 3], [1, 2]]
    assert [each.get("priority") for each in server.asked] == [None, None, 1]


def test_the_engine_dies_when_no_server_can_be_used_for_long(
    servers: Callable[..., StandIn], make_engine: MakeEngine
) -> None:
    server = servers()
    engine = make_engine(server, timeout=1.0)
    server.flowing.clear()
    turn = start(engine, PROMPT, greedy(10))
    server.healthy = False
    finish = turn.wait()

    assert finish.reason is FinishReason.ERROR
    assert "no server could be used for 1 s" in finish.message
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
