"""What a request changes in the choice of tokens, and what it is told of their probabilities."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import LENGTH, STOP, generated, greedy, prompts, seeded
from tests.workers.listener import answer, start
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.engine import BadLogitBias


def logits(model: LlamaForCausalLM, ids: Sequence[int]) -> Tensor:
    """Return transformers' logits of the token after these, ``(vocabulary,)``."""
    with torch.inference_mode():
        return model(torch.tensor([list(ids)])).logits[0, -1]


def hold_to_the_model(
    model: LlamaForCausalLM,
    prompt: Sequence[int],
    ids: Sequence[int],
    logprobs: Sequence[TokenLogprobs],
    count: int,
) -> None:
    """Assert that these are the log probabilities of an answer's tokens in the bare model."""
    assert len(ids) == len(logprobs) > 0
    for n, (id, each) in enumerate(zip(ids, logprobs, strict=True)):
        expected = logits(model, [*prompt, *ids[:n]]).log_softmax(dim=-1)
        assert each.chosen == pytest.approx(float(expected[id]), abs=1e-4)
        values, likeliest = expected.topk(count)
        assert [id for id, _ in each.top] == likeliest.tolist()
        assert [value for _, value in each.top] == pytest.approx(values.tolist(), abs=1e-4)


def test_logprobs_are_those_of_the_model_whatever_changes_the_choice(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=4)
    asked = prompts(4, seed=21, longest=60)
    changed = replace(
        seeded(20, 3), frequency_penalty=1.0, repetition_penalty=1.3, logit_bias=((7, 4.0),)
    )
    samplings = [
        replace(greedy(20), top_logprobs=0),
        greedy(20),
        replace(changed, top_logprobs=20),
        replace(seeded(20, 5), top_logprobs=3, temperature=1.7),
    ]
    turns = [start(engine, *turn) for turn in zip(asked, samplings, strict=True)]
    for prompt, sampling, turn in zip(asked, samplings, turns, strict=True):
        assert turn.wait() == LENGTH
        count = sampling.top_logprobs
        if count is None:
            assert turn.logprobs == []
        else:
            hold_to_the_model(reference, prompt, turn.ids, turn.logprobs, count)


def test_a_continued_turn_has_the_logprobs_of_the_rest(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=22)
    first = start(engine, prompt, replace(greedy(12), top_logprobs=2))
    first.wait()
    rest = replace(greedy(8), top_logprobs=2)
    again = start(engine, prompt + first.ids[:4], rest, generated=4)
    again.wait()
    assert again.ids == first.ids[4:]
    hold_to_the_model(reference, prompt + first.ids[:4], again.ids, again.logprobs, 2)


def test_the_eos_that_ends_an_answer_has_no_logprobs(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=3)
    spoken = generated(reference, prompt, 40)
    eos = spoken[20]
    listener = start(
        make_engine(eos_ids=frozenset({eos})), prompt, replace(greedy(40), top_logprobs=1)
    )
    assert listener.wait() == STOP
    assert len(listener.logprobs) == len(listener.ids) == spoken.index(eos)


def test_a_bias_is_added_after_penalties_and_before_the_choice(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=23)
    plain = generated(reference, prompt, 20)
    bias = ((plain[0], -100.0), (plain[1], -1.5), (11, 0.8), (12, 0.8))
    biased = replace(greedy(20), presence_penalty=0.5, logit_bias=bias)
    engine = make_engine()
    mate = start(engine, prompt, greedy(20))
    said = answer(engine, prompt, biased)

    expected: list[int] = []
    for _ in range(20):
        row = logits(reference, prompt + expected).clone()
        for id in set(expected):
            row[id] -= 0.5
        for id, value in bias:
            row[id] += value
        expected.append(int(row.argmax()))
    assert said == expected
    assert plain[0] not in said
    mate.wait()
    assert mate.ids == plain


def test_100_forces_a_token_and_minus_100_bans_it(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=24)
    hot = SamplingParams(max_tokens=12, temperature=1.5, seed=4)
    assert answer(engine, prompt, replace(hot, logit_bias=((9, 100.0),))) == [9] * 12
    only = tuple((id, -100.0) for id in range(tiny_llama.VOCABULARY) if id not in (20, 21))
    assert set(answer(engine, prompt, replace(hot, logit_bias=only))) == {20, 21}


def test_a_bias_draws_the_same_in_any_batch(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4)
    [prompt, *others] = prompts(4, seed=25)
    biased = replace(seeded(25, 8), logit_bias=((5, 9.0), (6, 9.0)), min_tokens=3)
    alone = answer(engine, prompt, biased)
    assert alone != answer(engine, prompt, seeded(25, 8))
    mates = [
        start(engine, other, replace(seeded(30, n), top_logprobs=n))
        for n, other in enumerate(others)
    ]
    assert answer(engine, prompt, biased) == alone
    for mate in mates:
        mate.wait()


@pytest.mark.parametrize("id", [tiny_llama.VOCABULARY, 10**9])
def test_a_bias_outside_the_vocabulary_is_refused_by_name(make_engine: MakeEngine, id: int) -> None:
    with pytest.raises(BadLogitBias, match=f"'logit_bias' has the token {id}; .* 0 to "):
        start(make_engine(), [1, 5], replace(greedy(5), logit_bias=((id, 1.0),)))


def test_an_answer_does_not_end_before_min_tokens(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=3)
    eos = generated(reference, prompt, 1)[0]
    engine = make_engine(eos_ids=frozenset({eos}))
    assert answer(engine, prompt, greedy(40)) == []

    listener = start(engine, prompt, replace(greedy(40), min_tokens=10))
    listener.wait()
    expected: list[int] = []
    for n in range(40):
        row = logits(reference, prompt + expected).clone()
        if n < 10:
            row[eos] = float("-inf")
        if (id := int(row.argmax())) == eos:
            break
        expected.append(id)
    assert listener.ids == expected
    assert len(listener.ids) >= 10


def test_an_eos_that_is_ignored_is_a_token_like_any_other(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=3)
    spoken = generated(reference, prompt, 40)
    engine = make_engine(eos_ids=frozenset(spoken))
    listener = start(
        engine, prompt, replace(greedy(40), ignore_eos=True, min_tokens=5, top_logprobs=0)
    )
    assert listener.wait() == LENGTH
    assert listener.ids == spoken
    assert len(listener.logprobs) == 40
