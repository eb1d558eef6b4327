"""The noise of draws: evenly distributed, independent, and the same in every release."""

import pytest
import torch
from torch import Tensor

from turnstream.workers.engines.gumbel import draw_keys, gumbel, uniform

CPU = torch.device("cpu")


def numbers(seeds: int, positions: int, tokens: int) -> Tensor:
    draws = [(seed, position) for seed in range(seeds) for position in range(positions)]
    return uniform(draw_keys(draws, CPU), torch.arange(tokens, dtype=torch.int32))


def test_numbers_are_evenly_distributed_between_0_and_1() -> None:
    drawn = numbers(10, 10, 10_000)
    assert 0 < drawn.min() < 1e-5
    assert 1 - 1e-5 < drawn.max() < 1
    counts = torch.histc(drawn, bins=50, min=0, max=1)
    assert (counts / 20_000).tolist() == pytest.approx([1] * 50, abs=0.04)


def test_neighbouring_seeds_positions_and_tokens_are_uncorrelated() -> None:
    drawn = numbers(20, 20, 1000).reshape(20, 20, 1000) - 0.5
    apart = [
        (drawn[1:], drawn[:-1]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn[..., 1:], drawn[..., :-1]),
    ]
    for one, other in apart:
        assert (one * other).mean().item() * 12 == pytest.approx(0, abs=0.01)


def test_noise_is_gumbel_and_finite() -> None:
    noise = gumbel(
        draw_keys([(1, n) for n in range(20)], CPU), torch.arange(10_000, dtype=torch.int32)
    )
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(torch.pi**2 / 6, abs=0.03)


def test_a_tokens_number_does_not_depend_on_the_batch() -> None:
    key = draw_keys([(3, 1), (4, 1), (5, 9)], CPU)
    every = uniform(key, torch.arange(2000, dtype=torch.int32))
    some = torch.tensor([[7], [1999], [0]], dtype=torch.int32)
    assert torch.equal(uniform(key, some), every.gather(-1, some.long()))
    assert torch.equal(uniform(key[1:2], some[1:2]), every[1:2, 1999:])


def test_numbers_are_the_same_in_every_release() -> None:
    # A worker of another version may continue a turn, so these numbers must not change.
    ids = torch.tensor([0, 1, 31_999], dtype=torch.int32)
    assert uniform(draw_keys([(0, 0), (-5, 17)], CPU), ids).tolist() == [
        [0.6792707443237305, 0.08788170665502548, 0.7515682578086853],
        [0.13884100317955017, 0.557632327079773, 0.5592411160469055],
    ]
