"""The contract of engines for vLLM's own server, and what happens when one of two is killed."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, LlamaTokenizer

from harness import tiny_llama
from harness.vllm_server import VllmServer
from tests.workers.contract.asking import CANCELLED, LENGTH, STOP, generated, greedy, prompts
from tests.workers.contract.test_cancelling import *  # noqa: F403
from tests.workers.contract.test_constraint import *  # noqa: F403
from tests.workers.contract.test_constraint import EOS, PERSON
from tests.workers.contract.test_draws import *  # noqa: F403
from tests.workers.contract.test_failing import *  # noqa: F403
from tests.workers.contract.test_greedy import *  # noqa: F403
from tests.workers.contract.test_sampling import *  # noqa: F403
from tests.workers.contract.test_sampling import hold_to_the_model
from tests.workers.contract.test_stopping import *  # noqa: F403
from tests.workers.contract.test_together import *  # noqa: F403
from tests.workers.listener import TIMEOUT_SECONDS, Listener, answer, start
from turnstream.turns.constraint import Constraint
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.remote_engine import RemoteEngine
from turnstream.workers.engines.remote_protocols import Completions, Generate
from turnstream.workers.remote_settings import RemoteSettings

MakeRemote = Callable[..., RemoteEngine]


@pytest.fixture(scope="module")
def server(
    tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    with VllmServer(tiny_llama_folder, log=tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def make_engine(server: VllmServer, tiny_llama_folder: Path) -> Iterator[MakeRemote]:
    """Make an engine in front of the server; takes what the other engines' fixtures take."""
    made: list[RemoteEngine] = []

    def make(
        *,
        slots: int = 4,
        context: int = tiny_llama.CONTEXT,
        eos_ids: frozenset[int] = frozenset(),
        after_step: Callable[[], None] = lambda: None,
        prompt_tokens: int = 0,
        urls: tuple[str, ...] = (),
    ) -> RemoteEngine:
        # An engine waits for a server without a limit.
        server.wait_until_ready()
        tokenizer = LlamaTokenizer.from_pretrained(tiny_llama_folder)
        size = tiny_llama.VOCABULARY
        engine = RemoteEngine(
            RemoteSettings(urls=urls or (server.url,)),
            name="tiny",
            vocabulary=size,
            eos_ids=eos_ids,
            after_step=after_step,
            slots=slots,
            context=context,
            grammars=Grammars(tokenizer, vocabulary=size, eos_ids=eos_ids),
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop(0)


def used(engine: RemoteEngine) -> object:
    return engine._pool.servers[0].abilities.protocol


def test_token_ids_go_to_the_endpoint_that_is_made_for_them(make_engine: MakeRemote) -> None:
    assert isinstance(used(make_engine()), Generate)


def test_a_server_without_that_endpoint_answers_by_completions(
    make_engine: MakeRemote, reference: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generate, "path", "/missing")
    engine = make_engine()
    assert isinstance(used(engine), Completions)
    turns = [
        start(engine, prompt, replace(greedy(20), top_logprobs=3)) for prompt in prompts(3, seed=41)
    ]
    for prompt, turn in zip(prompts(3, seed=41), turns, strict=True):
        assert turn.wait() == LENGTH
        assert turn.ids == generated(reference, prompt, 20)
        hold_to_the_model(reference, prompt, turn.ids, turn.logprobs, 3)

    constrained = start(engine, [1, 7, 8], greedy(20), constraint=Constraint.choice(["yes", "no"]))
    constrained.wait()
    assert constrained.ids == answer_of(make_engine, Constraint.choice(["yes", "no"]))


def answer_of(make_engine: MakeRemote, constraint: Constraint) -> list[int]:
    """Return what the usual endpoint answers to the same."""
    turn = start(make_engine(), [1, 7, 8], greedy(20), constraint=constraint)
    turn.wait()
    return turn.ids


def test_cancelling_turns_ends_their_work_at_the_server(
    make_engine: MakeRemote, server: VllmServer
) -> None:
    engine = make_engine(slots=64)
    before = server.metric("vllm:generation_tokens_total")
    begun = threading.Event()
    # More than it computes at a time: a single one may be over before its client knows of it.
    turns = [
        start(engine, [1, 5, id], greedy(250), lambda _: begun.set()) for id in range(6, 6 + 64)
    ]
    assert begun.wait(TIMEOUT_SECONDS), "no turn had a token"
    for turn in turns:
        turn.cancel()
    finishes = [turn.wait() for turn in turns]
    # It would have its place after them.
    answer(engine, [1, 9], greedy(3))

    assert finishes.count(CANCELLED) > 32
    assert server.metric("vllm:generation_tokens_total") - before < 64 * 250 / 2


def test_what_was_cached_at_the_server_is_reported(make_engine: MakeRemote) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=43, longest=80)
    prompt = (prompt * 100)[:100]
    answer(engine, prompt, greedy(2))
    listener = Listener()
    handle = engine.submit(prompt, greedy(2), listener)
    listener.wait()
    assert handle.cached_tokens == 96


def test_answers_go_on_exactly_when_one_of_two_servers_is_killed(
    make_engine: MakeRemote,
    server: VllmServer,
    reference: LlamaForCausalLM,
    tiny_llama_folder: Path,
    tmp_path: Path,
) -> None:
    schema = Constraint.json_schema(PERSON)
    asked = prompts(6, seed=42, longest=30)
    expected = [generated(reference, prompt, 150) for prompt in asked]
    at_kill: list[int] = []
    with VllmServer(tiny_llama_folder, log=tmp_path / "log") as other:
        engine = make_engine(slots=8, eos_ids=EOS, urls=(server.url, other.url))
        left, lost = engine._pool.servers

        def kill_at_five(listener: Listener) -> None:
            # On the engine's thread, so that no turn moves on before the server is dead.
            if len(listener.ids) >= 5 and not at_kill:
                at_kill.extend((lost.running, left.given))
                other.kill()

        def constrained(on_ids: Callable[[Listener], None] | None = None) -> Listener:
            return start(engine, [1, 7, 8], greedy(150), on_ids, constraint=schema)

        # One at each server, which reads the grammar then.
        first = [constrained(), constrained()]
        assert [turn.wait() for turn in first] == [STOP] * 2
        # They go to one server and the other by turns; the last one to that which is killed.
        endless = replace(greedy(150), ignore_eos=True)
        turns = [start(engine, prompt, endless) for prompt in asked]
        again = [constrained(), constrained(kill_at_five)]
        finishes = [turn.wait() for turn in (*turns, *again)]

    assert finishes == [LENGTH] * 6 + [STOP] * 2
    assert [turn.ids for turn in turns] == expected
    assert first[0].ids == first[1].ids
    assert [turn.ids for turn in again] == [first[0].ids] * 2
    had, given = at_kill
    assert had == 4
    assert left.given >= given + had, "not all of them went on at the other server"
    assert not lost.usable
