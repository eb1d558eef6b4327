"""Keeps an answer's grammar in the logits of its next token."""

import torch
from torch import Tensor

from turnstream.workers.engines.grammars import Matcher


def restrict(matcher: Matcher, logits: Tensor) -> None:
    """Make the tokens that may not come next impossible, in place; ``(vocabulary,)``."""
    barred = torch.from_numpy(~matcher.allowed()).to(logits.device, non_blocking=True)
    logits.masked_fill_(barred, float("-inf"))
