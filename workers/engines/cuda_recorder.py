"""Steps recorded as CUDA graphs, with torch's own flash attention over slots in pages.

It needs no package but torch. It has not been run on a GPU yet: the attention and each recording
are compared with references when an engine starts, and are not used where they differ or fail.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from turnstream.workers.engines.paged_step import PagedAttention

#: How often a step runs before it is recorded; libraries choose kernels and memory meanwhile.
WARM_UP_RUNS = 3
#: The smallest page size that the kernel supports.
PAGE_TOKENS = 256
_DTYPES = (torch.bfloat16, torch.float16)


class CudaRecorder:
    """Records steps on one GPU; the recordings share their memory."""

    page_tokens = PAGE_TOKENS

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    @staticmethod
    def suits(device: torch.device, dtype: torch.dtype) -> bool:
        """Return whether a device can record steps and has the attention kernel."""
        if device.type != "cuda" or dtype not in _DTYPES:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

    @property
    def attend(self) -> PagedAttention:
        """The attention of the steps; see `flash_attention`."""
        return flash_attention

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a function that replays ``compute`` in one launch; see `Recorder.record`."""
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_RUNS):
                    compute()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                out = compute()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay


def flash_attention(
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
    """Attend from each query to its turn's slot; see `PagedAttention`."""
    shared = queries.shape[1] != keys.shape[2]
    # torch 2.13 and 2.14 write all turns over the first one where they split a slot between thread
    # blocks, unless heads are shared and each turn has one query (pytorch issue 194167).
    splits = None if longest == 1 and (shared or len(lengths) == 1) else 1
    out = varlen_attn(
        queries,
        keys,
        values,
        starts,
        room,
        longest,
        table.shape[1] * keys.shape[1],
        scale=scaling,
        window_size=(-1, -1) if longest == 1 else (-1, 0),
        enable_gqa=shared,
        seqused_k=lengths,
        block_table=table,
        num_splits=splits,
    )
    assert isinstance(out, Tensor)
    return out
