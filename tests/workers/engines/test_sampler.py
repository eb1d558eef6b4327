"""Choosing tokens: greedy, or a fair and repeatable draw from the candidates."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines import sampler
from turnstream.workers.engines.sampler import NOT_A_NUMBER, TokenRequest

#: Probabilities 0.5, 0.25, 0.125, 0.125 for ids 2, 0, 3, 1.
LOGITS = torch.tensor([[0.25, 0.125, 0.5, 0.125]]).log()


def choose(logits: torch.Tensor, requested: list[TokenRequest]) -> list[int]:
    return sampler.choose(logits, requested).tolist()


def draws(count: int, **settings: float) -> Counter[int]:
    """Draw many times from `LOGITS`, at consecutive positions."""
    sampling = SamplingParams(max_tokens=1, seed=1, **settings)
    return Counter(choose(LOGITS.expand(count, -1), requests(sampling, count)))


def requests(sampling: SamplingParams, count: int = 1) -> list[TokenRequest]:
    """Make requests for consecutive positions."""
    return [TokenRequest(sampling, position) for position in range(count)]


def test_temperature_0_takes_the_likeliest_token() -> None:
    assert choose(LOGITS, requests(SamplingParams(max_tokens=1, temperature=0))) == [2]


def test_draws_follow_the_probabilities() -> None:
    counts = draws(8000)
    for id, share in {2: 0.5, 0: 0.25, 3: 0.125, 1: 0.125}.items():
        assert counts[id] / 8000 == pytest.approx(share, abs=0.02)


def test_temperature_sharpens_and_flattens() -> None:
    # Halving the temperature squares the odds: 4 to 1 between ids 2 and 0.
    counts = draws(8000, temperature=0.5)
    assert counts[2] / counts[0] == pytest.approx(4, rel=0.1)
    assert draws(500, temperature=1e-9) == {2: 500}


def test_top_k_keeps_the_likeliest() -> None:
    assert set(draws(500, top_k=2)) == {2, 0}
    assert draws(500, top_k=1) == {2: 500}
    assert set(draws(500, top_k=100)) == {0, 1, 2, 3}


def test_top_k_breaks_a_tie_by_the_lower_id() -> None:
    assert set(draws(500, top_k=3)) == {2, 0, 1}


def test_top_p_keeps_the_fewest_tokens_that_reach_it() -> None:
    assert draws(500, top_p=0.5) == {2: 500}
    assert set(draws(500, top_p=0.51)) == {2, 0}
    assert set(draws(500, top_p=0.75)) == {2, 0}
    assert draws(500, top_p=0) == {2: 500}


def test_top_p_applies_to_what_top_k_keeps() -> None:
    # Of the two that top_k keeps, id 2 has two thirds.
    assert draws(500, top_k=2, top_p=0.66) == {2: 500}
    assert set(draws(500, top_k=2, top_p=0.67)) == {2, 0}


@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("top_k", [0, 1, 40, 700])
def test_the_candidates_of_a_large_vocabulary_are_those_of_plain_sorting(
    top_p: float, top_k: int
) -> None:
    generator = torch.Generator().manual_seed(5)
    # Rounded, so that many are equally likely.
    logits = (torch.randn(1, 2000, generator=generator) * 3).to(torch.bfloat16)
    ordered, order = logits[0].double().sort(descending=True, stable=True)
    weights = ordered.softmax(-1)[: top_k or None]
    weights = weights / weights.sum()
    count = max(1, int((weights.cumsum(-1) - weights < top_p).sum()))
    left = set(order[:count].tolist())
    sampling = SamplingParams(max_tokens=1, top_p=top_p, top_k=top_k, temperature=1.0)
    drawn = choose(logits.expand(1000, -1), requests(sampling, 1000))
    assert set(drawn) <= left
    if count < 30:
        assert set(drawn) == left


def test_a_flat_distribution_has_all_its_candidates() -> None:
    sampling = SamplingParams(max_tokens=1, top_p=0.5)
    drawn = choose(torch.zeros(500, 10_000), requests(sampling, 500))
    # All are equally likely, so the first half of the ids has half the probability.
    assert 4_900 < max(drawn) < 5_000


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 100, generator=generator)
    samplings = [
        SamplingParams(
            max_tokens=1, temperature=n % 4 / 2, top_k=n % 7, top_p=1 - n % 5 / 10, seed=n
        )
        for n in range(40)
    ]
    requested = [TokenRequest(sampling, 100 + n) for n, sampling in enumerate(samplings)]
    together = choose(logits, requested)
    alone = [choose(logits[n : n + 1], [requested[n]])[0] for n in range(40)]
    assert together == alone


def test_a_gpu_has_the_same_candidates_as_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(4)
    # Rounded, so that many are equally likely.
    logits = (torch.randn(400, 300, generator=generator) * 3).to(torch.bfloat16)
    samplings = [
        SamplingParams(max_tokens=1, top_k=n % 50, top_p=1 - n % 11 / 10, seed=n)
        for n in range(400)
    ]
    requested = [TokenRequest(sampling, n) for n, sampling in enumerate(samplings)]
    on_a_cpu = choose(logits, requested)
    # A GPU sorts whole vocabularies, which is fast there; counting candidates would synchronise.
    monkeypatch.setattr(sampler, "_sort_candidates", sampler._sort_all)
    assert choose(logits, requested) == on_a_cpu


def some_requests(count: int) -> tuple[torch.Tensor, list[TokenRequest]]:
    generator = torch.Generator().manual_seed(4)
    # Rounded, so that many are equally likely.
    logits = (torch.randn(count, 300, generator=generator) * 3).to(torch.bfloat16)
    samplings = [
        SamplingParams(
            max_tokens=1,
            top_k=(0, 0, 3, 17, 18, 150, 300)[n % 7],
            top_p=1 - n % 11 / 10,
            temperature=0.3 + n % 5 / 4,
            seed=n,
        )
        for n in range(count)
    ]
    return logits, [TokenRequest(sampling, n) for n, sampling in enumerate(samplings)]


@pytest.mark.parametrize("first", [1, 17, 120, 1024])
def test_a_gpu_sorts_the_likeliest_only_and_draws_the_same(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, requested = some_requests(280)
    on_a_cpu = choose(logits, requested)
    monkeypatch.setattr(sampler, "_known_at_once", lambda _: False)
    monkeypatch.setattr(sampler, "FIRST_SORTED", first)
    found = choose(logits, requested)
    undecided = [n for n, id in enumerate(found) if id == sampler.UNDECIDED]
    assert bool(undecided) is (first < 100)
    # Nothing that top_k decides is left open.
    assert all(requested[n].sampling.top_k in (0, 300) for n in undecided)
    again = [replace(requested[n], sort_all=True) for n in undecided]
    chosen = iter(choose(logits[undecided], again))
    assert [next(chosen) if id == sampler.UNDECIDED else id for id in found] == on_a_cpu


def test_nan_logits_give_not_a_number() -> None:
    logits = LOGITS.repeat(4, 1)
    logits[1, 3] = float("nan")
    logits[2, 0] = float("inf")
    for temperature in (0.0, 1.0):
        sampling = SamplingParams(max_tokens=1, temperature=temperature, top_p=0.4)
        assert choose(logits, [TokenRequest(sampling, 0)] * 4) == [2, NOT_A_NUMBER, NOT_A_NUMBER, 2]


def test_draws_from_a_large_vocabulary_follow_the_softmax() -> None:
    logits = torch.randn(1, 500, generator=torch.Generator().manual_seed(8)) * 2
    expected = (logits[0] / 1.5).softmax(-1) * 20_000
    sampling = SamplingParams(max_tokens=1, temperature=1.5, seed=9)
    drawn = choose(logits.expand(20_000, -1), requests(sampling, 20_000))
    counts = torch.bincount(torch.tensor(drawn), minlength=500)
    often = expected >= 10
    assert often.sum() > 100
    # Each term is about 1 for fair draws; rare ids are one class.
    terms = (counts - expected)[often].square() / expected[often]
    assert terms.mean() == pytest.approx(1, abs=0.4)
    assert counts[~often].sum() == pytest.approx(expected[~often].sum().item(), rel=0.1)


def test_a_limit_that_keeps_the_drawn_token_changes_nothing() -> None:
    logits = torch.randn(300, 200, generator=torch.Generator().manual_seed(6)) * 3
    free = choose(logits, requests(SamplingParams(max_tokens=1, seed=4), 300))
    narrow = choose(logits, requests(SamplingParams(max_tokens=1, seed=4, top_k=5), 300))
    left = [set(slot.topk(5).indices.tolist()) for slot in logits]
    drawn_anyway = [n for n in range(300) if free[n] in left[n]]
    assert len(drawn_anyway) > 100
    assert [narrow[n] for n in drawn_anyway] == [free[n] for n in drawn_anyway]


def test_a_small_difference_in_the_logits_changes_few_draws() -> None:
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(4000, 4000, generator=generator)
    nudged = logits * (1 + 1e-4 * torch.randn(logits.shape, generator=generator))
    requested = requests(SamplingParams(max_tokens=1, temperature=2, seed=2), 4000)
    pairs = zip(choose(logits, requested), choose(nudged, requested), strict=True)
    # Sampling by the inverse of the cumulative distribution changes about ten.
    assert sum(one != other for one, other in pairs) <= 1
