"""Choose the next token of every turn that a step has answered."""

from collections.abc import Sequence

from torch import Tensor

from turnstream.workers.engines import sampler
from turnstream.workers.engines.logprobs import step_logprobs
from turnstream.workers.engines.sampler import TokenRequest
from turnstream.workers.engines.scheduler import PendingStep, SlotTurn
from turnstream.workers.engines.slots import Slot


def choose_next(answered: Sequence[tuple[SlotTurn, Slot]], logits: Tensor) -> PendingStep:
    """Choose one token per turn, without waiting for a GPU.

    Args:
        answered: the turns, with their slots as they were before the step.
        logits: ``(answered, vocabulary)``, unchanged by this.
    """
    ids = sampler.choose(
        logits,
        [
            TokenRequest(
                turn.sampling, len(slot.ids) + slot.pending, turn.logit_changes, turn.sort_all
            )
            for turn, slot in answered
        ],
    )
    wanted: list[tuple[int, int]] = []
    for n, (turn, _) in enumerate(answered):
        if turn.logit_changes:
            turn.logit_changes.add(ids[n : n + 1])
        if turn.on_logprobs:
            wanted.append((n, turn.sampling.top_logprobs or 0))
    # Turns that report no log probabilities cost nothing here.
    return PendingStep(answered, ids, step_logprobs(logits, ids, wanted) if wanted else None)
