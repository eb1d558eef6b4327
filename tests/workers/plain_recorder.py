"""A recorder for a CPU: it computes each step again, and reads slots in pages as a GPU does."""

from collections.abc import Callable

import torch
from torch import Tensor

from turnstream.workers.engines.paged_step import PagedAttention


class PlainRecorder:
    """Reads and writes the same memory at each replay, as a CUDA graph does."""

    page_tokens = 16

    @property
    def attend(self) -> PagedAttention:
        return paged_attention

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        out = compute()

        def replay() -> Tensor:
            return out.copy_(compute())

        return replay


def paged_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    starts: Tensor,
    longest: int,
    table: Tensor,
    lengths: Tensor,
    room: Tensor,
    scaling: float,
) -> Tensor:
    # What no turn owns may be anything.
    out = torch.full_like(queries, float("nan"))
    shared = queries.shape[1] // keys.shape[2]
    bounds = starts.tolist()
    for n, length in enumerate(lengths.tolist()):
        start, end = bounds[n : n + 2]
        assert end - start == 1 if longest == 1 else end - start <= longest
        key, value = (
            pages[table[n]].flatten(0, 1)[:length].transpose(0, 1).repeat_interleave(shared, 0)
            for pages in (keys, values)
        )
        scores = (queries[start:end].transpose(0, 1) @ key.transpose(1, 2)) * scaling
        size = end - start
        beyond = torch.ones(size, length, dtype=torch.bool).triu(length - size + 1)
        weights = scores.masked_fill(beyond, float("-inf")).softmax(-1)
        out[start:end] = (weights @ value).transpose(0, 1)
    return out
