"""A stopping engine finishes its turns and leaves no thread."""

import threading

import pytest
from transformers import LlamaForCausalLM

from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import CANCELLED, LENGTH, generated, greedy, prompts
from tests.workers.listener import TIMEOUT_SECONDS, start
from turnstream.workers.engine import EngineDead


def test_stop_lets_running_turns_finish(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=2)
    queue = prompts(5, seed=12)
    turns = [start(engine, prompt, greedy(30)) for prompt in queue]
    engine.stop(TIMEOUT_SECONDS)
    assert [turn.finishes for turn in turns] == [[LENGTH]] * 5
    assert [turn.ids for turn in turns] == [generated(reference, prompt, 30) for prompt in queue]


def test_stop_cancels_turns_after_the_drain_time(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2)
    turns = [start(engine, [1, 5, n], greedy(250)) for n in range(10, 15)]
    engine.stop(0)
    assert [turn.finishes for turn in turns] == [[CANCELLED]] * 5


def test_a_stopped_engine_takes_no_turn_and_leaves_no_thread(make_engine: MakeEngine) -> None:
    before = set(threading.enumerate())
    engine = make_engine()
    assert engine.healthy()
    engine.stop(1)
    engine.stop(1)
    assert not engine.healthy()
    # transformers' loading threads end a moment after the model is loaded.
    for thread in set(threading.enumerate()) - before:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive(), thread
    with pytest.raises(EngineDead, match="stopped"):
        start(engine, [1, 5], greedy(5))
