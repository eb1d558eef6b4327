"""A greedy answer equals that of transformers' `generate`, in float32."""

import threading

import torch
from transformers import LlamaForCausalLM

from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import LENGTH, STOP, generated, greedy, prompts
from tests.workers.listener import TIMEOUT_SECONDS, Listener, answer, start
from turnstream.turns.sampling_params import SamplingParams


def test_greedy_alone_equals_generate(make_engine: MakeEngine, reference: LlamaForCausalLM) -> None:
    engine = make_engine()
    for prompt in prompts(4, seed=1):
        assert answer(engine, prompt, greedy(40)) == generated(reference, prompt, 40)


def test_greedy_among_others_equals_generate(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=3)
    queue = prompts(10, seed=2)
    listeners: list[Listener] = []
    all_started = threading.Event()

    def start_next(listener: Listener | None = None) -> None:
        """Submit the next turn when the one before it has three tokens."""
        if listener is None or (listener is listeners[-1] and len(listener.ids) >= 3):
            if len(listeners) < len(queue):
                listeners.append(Listener(start_next))
                engine.submit(queue[len(listeners) - 1], greedy(30), listeners[-1])
            else:
                all_started.set()

    start_next()
    assert all_started.wait(TIMEOUT_SECONDS)
    for prompt, listener in zip(queue, listeners, strict=True):
        assert listener.wait() == LENGTH
        assert listener.ids == generated(reference, prompt, 30)


def test_an_answer_ends_before_its_eos(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=3)
    spoken = generated(reference, prompt, 40)
    eos = spoken[20]
    engine = make_engine(eos_ids=frozenset({eos}))
    listener = start(engine, prompt, greedy(40))
    assert listener.wait() == STOP
    assert listener.ids == spoken[: spoken.index(eos)]


def test_an_answer_ends_with_the_context(make_engine: MakeEngine) -> None:
    engine = make_engine(context=64)
    [prompt] = prompts(1, seed=4, longest=40)
    listener = start(engine, prompt, greedy(500))
    assert listener.wait() == LENGTH
    assert len(prompt) + len(listener.ids) == 64


def test_a_prompt_can_leave_room_for_one_token_only(make_engine: MakeEngine) -> None:
    engine = make_engine(context=64)
    assert len(answer(engine, [1] + [7] * 62, greedy(5))) == 1


def test_the_repetition_penalty_equals_that_of_generate(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    penalised = SamplingParams(max_tokens=40, temperature=0, repetition_penalty=1.4)
    for prompt in prompts(3, seed=14):
        mate = start(engine, prompt, greedy(40))
        said = answer(engine, prompt, penalised)
        assert said == generated(reference, prompt, 40, repetition_penalty=1.4)
        mate.wait()
        assert mate.ids == generated(reference, prompt, 40) != said


def test_frequency_and_presence_penalties_count_the_answer_only(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=15)
    prompt = prompt + generated(reference, prompt, 40)  # so that the prompt holds the answer
    penalised = SamplingParams(
        max_tokens=40, temperature=0, frequency_penalty=1.5, presence_penalty=0.7
    )
    said = answer(make_engine(), prompt, penalised)

    expected: list[int] = []
    for _ in range(40):
        logits = reference(torch.tensor([prompt + expected])).logits[0, -1]
        for id in set(expected):
            logits[id] -= 1.5 * expected.count(id) + 0.7
        expected.append(int(logits.argmax()))
    assert said == expected != generated(reference, prompt, 40)
