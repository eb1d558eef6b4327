"""Penalties, by the definitions that clients know."""

import pytest
import torch
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines.logit_changes import LogitChanges
from turnstream.workers.engines.penalties import Penalties, penalties
from turnstream.workers.engines.sampler import TokenRequest, choose

VOCABULARY = 8
#: Ids 1, 2, 2 are the question's; 3, 4, 4 the answer's.
IDS, ANSWER = [1, 2, 2, 3, 4, 4], 3


def sampling(**settings: float) -> SamplingParams:
    return SamplingParams(max_tokens=1, temperature=0, **settings)  # type: ignore[arg-type]


def made(ids: list[int] = IDS, answer: int = ANSWER, **settings: float) -> Penalties:
    return Penalties(
        sampling(**settings),
        ids,
        answer=answer,
        vocabulary=VOCABULARY,
        device=torch.device("cpu"),
    )


def logits() -> Tensor:
    return torch.tensor([2.0, 1.0, -1.0, 0.5, -0.5, 4.0, -4.0, 0.0])


def applied(penalties: Penalties) -> Tensor:
    row = logits()
    penalties.apply(row)
    return row


def test_frequency_counts_each_occurrence_in_the_answer_and_none_in_the_prompt() -> None:
    taken_off = logits() - applied(made(frequency_penalty=0.25))
    assert taken_off.tolist() == [0, 0, 0, 0.25, 0.5, 0, 0, 0]


def test_presence_counts_once() -> None:
    taken_off = logits() - applied(made(presence_penalty=-0.5))
    assert taken_off.tolist() == [0, 0, 0, -0.5, -0.5, 0, 0, 0]


def test_repetition_equals_that_of_transformers() -> None:
    processor = RepetitionPenaltyLogitsProcessor(1.5)
    expected = processor(torch.tensor([IDS]), logits()[None])[0]
    torch.testing.assert_close(applied(made(repetition_penalty=1.5)), expected)
    assert not torch.equal(expected, logits())


def test_all_three_add_up_in_the_usual_order() -> None:
    row = applied(made(repetition_penalty=2, frequency_penalty=1, presence_penalty=0.5))
    # Two occurrences, logit -0.5: doubled by repetition, then 2 × 1 and 0.5 subtracted.
    assert row[4] == -0.5 * 2 - 2 * 1 - 0.5


def test_tokens_added_one_by_one_count_like_those_known_from_the_start() -> None:
    settings = {"repetition_penalty": 1.3, "frequency_penalty": 0.3, "presence_penalty": 0.2}
    told = made(IDS[:ANSWER], **settings)
    for id in IDS[ANSWER:]:
        told.add(torch.tensor([id]))
    assert torch.equal(applied(told), applied(made(**settings)))


def test_penalised_logits_stay_finite() -> None:
    for penalty in (1e-300, 1e300):
        assert applied(made(repetition_penalty=penalty)).isfinite().all()


def test_a_turn_without_penalties_has_none() -> None:
    nothing = sampling(frequency_penalty=0, presence_penalty=0, repetition_penalty=1)
    assert (
        penalties(nothing, IDS, generated=0, vocabulary=VOCABULARY, device=torch.device("cpu"))
        is None
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_penalty_changes_its_own_row_only(dtype: torch.dtype) -> None:
    likeliest = made([5], 0, presence_penalty=2.0)
    likeliest.add(torch.tensor([5]))  # now at 4 - 2, level with id 0
    likeliest_twice = made([5, 5], 0, frequency_penalty=1.5)
    rows = logits().to(dtype).expand(3, -1).contiguous()
    requested = [
        TokenRequest(sampling(), 9),
        TokenRequest(sampling(), 9, LogitChanges(penalties=likeliest)),
        TokenRequest(sampling(), 9, LogitChanges(penalties=likeliest_twice)),
    ]
    assert choose(rows, requested).tolist() == [5, 0, 0]
    assert torch.equal(rows, logits().to(dtype).expand(3, -1))
