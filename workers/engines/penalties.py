"""What a turn has said already, held against saying it again.

Counted from the ids alone, which are in the turn's log: so an answer that another worker takes up
is penalised as it would have been.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams

#: Beyond any logit: a penalty takes none out of the finite numbers.
_LARGEST = 1e30


class Penalties:
    """Lowers the logits of one turn's tokens.

    Repetition goes by prompt and answer: a positive logit is divided by the penalty, a negative
    one multiplied. Presence and frequency go by the answer alone: the one is taken off once, the
    other for each time that a token was said.

    Args:
        ids: prompt and what of the answer is known.
        answer: where among them the answer begins.
        vocabulary: how many tokens there are.
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
        known = torch.tensor(ids, dtype=torch.int64, device=device)
        #: ``(vocabulary,)``: how often the answer has said each token.
        self._said = torch.bincount(known[answer:], minlength=vocabulary).float()
        #: ``(vocabulary,)`` bool: whether a token is in prompt or answer.
        self._met = torch.zeros(vocabulary, dtype=torch.bool, device=device)
        self._met[known] = True

    def add(self, id: Tensor) -> None:
        """Take note of a token that was chosen for the answer, ``(1,)`` int64."""
        self._said[id] += 1
        self._met[id] = True

    def apply(self, logits: Tensor) -> None:
        """Change logits where they are, ``(vocabulary,)`` float32."""
        sampling = self._sampling
        if (penalty := sampling.repetition_penalty) != 1:
            bent = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits.copy_(torch.where(self._met, bent.clamp_(-_LARGEST, _LARGEST), logits))
        if sampling.frequency_penalty:
            logits.sub_(self._said, alpha=sampling.frequency_penalty)
        if sampling.presence_penalty:
            logits.sub_((self._said > 0).float(), alpha=sampling.presence_penalty)


def penalties(
    sampling: SamplingParams,
    prompt: Sequence[int],
    *,
    generated: int,
    vocabulary: int,
    device: torch.device,
) -> Penalties | None:
    """Make what a turn's sampling asks for; None for one that has no penalties."""
    if not sampling.penalised:
        return None
    answer = len(prompt) - generated
    return Penalties(sampling, prompt, answer=answer, vocabulary=vocabulary, device=device)
