"""What a request changes in the logits of a turn's next token, before temperature.

First the penalties, then `logit_bias`, then the ban of EOS until the answer has `min_tokens`, and
last the grammar that the answer follows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines.grammar_mask import restrict
from turnstream.workers.engines.grammars import Matcher
from turnstream.workers.engines.penalties import Penalties, penalties
from turnstream.workers.engines.to_device import to_device


class LogitChanges:
    """Changes the logits of one turn.

    Args:
        bias: ids, ``(n,)`` int64, and what is added to their logits, ``(n,)`` float32.
        banned: ids, ``(n,)`` int64, that are not chosen at positions before ``banned_before``.
    """

    def __init__(
        self,
        *,
        penalties: Penalties | None = None,
        bias: tuple[Tensor, Tensor] | None = None,
        banned: Tensor | None = None,
        banned_before: int = 0,
        matcher: Matcher | None = None,
    ) -> None:
        self._penalties = penalties
        self._matcher = matcher
        self._bias = bias
        self._banned = banned
        self._banned_before = banned_before

    def add(self, id: Tensor) -> None:
        """Count a token chosen for the answer, ``(1,)`` int64."""
        if self._penalties:
            self._penalties.add(id)

    def apply(self, logits: Tensor, position: int) -> None:
        """Change the logits for a position in place, ``(vocabulary,)`` float32."""
        if self._penalties:
            self._penalties.apply(logits)
        if self._bias:
            ids, values = self._bias
            logits.index_add_(0, ids, values)
        if self._banned is not None and position < self._banned_before:
            logits.index_fill_(0, self._banned, float("-inf"))
        if self._matcher:
            restrict(self._matcher, logits)


def logit_changes(
    sampling: SamplingParams,
    prompt: Sequence[int],
    *,
    generated: int,
    eos_ids: frozenset[int],
    vocabulary: int,
    device: torch.device,
    matcher: Matcher | None = None,
) -> LogitChanges | None:
    """Return what a turn's sampling and grammar change; None if that is nothing."""
    bans = bool(sampling.min_tokens and eos_ids and not sampling.ignore_eos)
    if not (sampling.penalised or sampling.logit_bias or bans or matcher):
        return None
    bias = None
    if sampling.logit_bias:
        ids, values = zip(*sampling.logit_bias, strict=True)
        bias = (
            to_device(ids, device),
            to_device(values, device, torch.float32),
        )
    banned = to_device(sorted(eos_ids), device) if bans else None
    return LogitChanges(
        penalties=penalties(
            sampling, prompt, generated=generated, vocabulary=vocabulary, device=device
        ),
        bias=bias,
        banned=banned,
        banned_before=len(prompt) + sampling.min_tokens,
        matcher=matcher,
    )
