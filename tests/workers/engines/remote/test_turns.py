"""Turns of the engine `remote`, with stand-ins for vLLM's servers; tests/vllm has real ones."""

from collections.abc import Callable

import pytest

from tests.workers.contract.asking import CANCELLED, LENGTH, greedy
from tests.workers.engines.remote import stand_in_vllm
from tests.workers.engines.remote.bench import PROMPT, MakeEngine, wait_until
from tests.workers.engines.remote.stand_in_vllm import StandIn, answer_to
from tests.workers.listener import TIMEOUT_SECONDS, Listener, start
from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.engine import FinishReason


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
    engine = make_engine(silent, other, timeout=0.5)
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


def test_ids_that_the_model_does_not_have_fail_the_turn(
    servers: Callable[..., StandIn], make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in_vllm, "VOCABULARY", 10**6)
    finish = start(make_engine(servers()), [99] * 9, greedy(10)).wait()

    assert "it has another model: it sent the token" in finish.message


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
