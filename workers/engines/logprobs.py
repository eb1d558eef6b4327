"""Log probabilities of chosen and likeliest tokens, from the logits as the model computed them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.engines.to_device import to_device


@dataclass(frozen=True, slots=True)
class StepLogprobs:
    """Those of one step, for the turns that report them; on the device until `to_host`."""

    #: For each of these turns its place in the step, and how many likeliest tokens it reports.
    wanted: Sequence[tuple[int, int]]
    #: ``(wanted,)`` float32.
    chosen: Tensor
    #: ``(wanted, most)`` float32, the likeliest first.
    values: Tensor
    #: ``(wanted, most)`` int64.
    ids: Tensor

    def to_host(self) -> "StepLogprobs":
        """Start copying to the host; nothing waits."""
        chosen, values, ids = (
            tensor.to("cpu", non_blocking=True) for tensor in (self.chosen, self.values, self.ids)
        )
        return StepLogprobs(self.wanted, chosen, values, ids)

    def by_place(self) -> dict[int, TokenLogprobs]:
        """Return those of each turn, by its place in the step; the copies must have ended."""
        rows = zip(
            self.wanted, self.chosen.tolist(), self.values.tolist(), self.ids.tolist(), strict=True
        )
        return {
            place: TokenLogprobs(chosen, tuple(zip(ids[:count], values[:count], strict=True)))
            for (place, count), chosen, values, ids in rows
        }


def step_logprobs(logits: Tensor, ids: Tensor, wanted: Sequence[tuple[int, int]]) -> StepLogprobs:
    """Return the log probabilities of some turns of a step, without waiting for a GPU.

    Args:
        logits: ``(turns, vocabulary)``, unchanged by penalties, bias and temperature.
        ids: ``(turns,)`` int64, the chosen ids; one below 0 stands for no token.
        wanted: place and number of likeliest tokens of each turn that reports them.
    """
    places = to_device([place for place, _ in wanted], logits.device)
    logprobs = logits[places].float().log_softmax(dim=-1)
    chosen = logprobs.gather(-1, ids[places].clamp(min=0)[:, None])[:, 0]
    most = min(max(count for _, count in wanted), logits.shape[-1])
    top = torch.topk(logprobs, most, dim=-1)
    return StepLogprobs(wanted, chosen, top.values, top.indices)
