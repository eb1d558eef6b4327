"""A recorder for a CPU: it computes each step again, and reads slots in pages as a GPU does."""

from collections.abc import Callable

import torch
from torch import Tensor


class PlainRecorder:
    """Reads and writes the same memory at each replay, as a CUDA graph does."""

    page_tokens = 16

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        out = compute()

        def replay() -> Tensor:
            return out.copy_(compute())

        return replay

    def attend(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        table: Tensor,
        lengths: Tensor,
        scaling: float,
    ) -> Tensor:
        # (turns, heads, tokens, head_dim); several query heads share a key head.
        shared = queries.shape[1] // keys.shape[2]
        keys, values = (
            pages[table].flatten(1, 2).transpose(1, 2).repeat_interleave(shared, 1)
            for pages in (keys, values)
        )
        beyond = torch.arange(keys.shape[2]) >= lengths[:, None, None, None]
        scores = (queries[:, :, None] @ keys.transpose(2, 3)) * scaling
        weights = scores.masked_fill(beyond, float("-inf")).softmax(-1)
        return (weights @ values)[:, :, 0]
