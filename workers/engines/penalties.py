"""Penalties for tokens that a turn already has.

They depend on the ids only, which are in the turn's log, so a later attempt at another worker has
the same penalties.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines.to_device import to_device

#: Larger than any logit; penalised logits are clamped to it to stay finite.
_LARGEST = 1e30


class Penalties:
    """Lowers the logits of one turn's tokens.

    The repetition penalty applies to tokens of prompt and answer: it divides a positive logit and
    multiplies a negative one. The presence and frequency penalties apply to tokens of the answer:
    one is subtracted once, the other for each occurrence.

    Args:
        ids: the prompt and the known part of the answer.
        answer: the index of the answer's first id.
        vocabulary: the vocabulary size.
    """

    def __init__(
        self,
        sampling: SamplingParams,
        ids: Sequence[int],
        *,
        answer: int,
        vocabulary: int,
        device: torch.device,
    ) -> None:
        self._sampling = sampling
        known = to_device(ids, device)
        said = known[answer:]
        #: ``(vocabulary,)``: occurrences of each token in the answer.
        self._answer_counts = torch.zeros(vocabulary, dtype=torch.float32, device=device)
        # `bincount` would wait for a GPU.
        self._answer_counts.index_add_(0, said, torch.ones_like(said, dtype=torch.float32))
        #: ``(vocabulary,)`` bool: whether a token is in prompt or answer.
        self._present = torch.zeros(vocabulary, dtype=torch.bool, device=device)
        self._present.index_fill_(0, known, True)

    def add(self, id: Tensor) -> None:
        """Count a token chosen for the answer, ``(1,)`` int64."""
        self._answer_counts[id] += 1
        self._present.index_fill_(0, id, True)

    def apply(self, logits: Tensor) -> None:
        """Change logits in place, ``(vocabulary,)`` float32."""
        sampling = self._sampling
        if (penalty := sampling.repetition_penalty) != 1:
            penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits.copy_(torch.where(self._present, penalised.clamp_(-_LARGEST, _LARGEST), logits))
        if sampling.frequency_penalty:
            logits.sub_(self._answer_counts, alpha=sampling.frequency_penalty)
        if sampling.presence_penalty:
            logits.sub_((self._answer_counts > 0).float(), alpha=sampling.presence_penalty)


def penalties(
    sampling: SamplingParams,
    prompt: Sequence[int],
    *,
    generated: int,
    vocabulary: int,
    device: torch.device,
) -> Penalties | None:
    """Return the penalties of a turn's sampling; None if it has none."""
    if not sampling.penalised:
        return None
    answer = len(prompt) - generated
    return Penalties(sampling, prompt, answer=answer, vocabulary=vocabulary, device=device)
