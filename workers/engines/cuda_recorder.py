"""Steps recorded as CUDA graphs, in which torch's own flash attention reads the rows.

It needs no package but torch. It has not been run on a GPU yet: what it records is compared with
plain steps before it is used, and one that differs or fails is not used.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

#: How often a step runs before it is recorded: libraries choose their kernels and memory then.
REHEARSALS = 3
_DTYPES = (torch.bfloat16, torch.float16)


class CudaRecorder:
    """Records on one GPU; all its recordings share their memory."""

    #: The smallest pages that the kernel reads.
    page_tokens = 256

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    @staticmethod
    def suits(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether a device can record steps of a model, and has the kernel for it."""
        if device.type != "cuda" or dtype not in _DTYPES:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what launches all of ``compute`` at once; see `Recorder.record`."""
        with torch.cuda.device(self._device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(REHEARSALS):
                    compute()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                out = compute()

        def play() -> Tensor:
            graph.replay()
            return out

        return play

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
        """Let each query look at its row; see `Recorder.attend`."""
        turns = torch.arange(len(queries) + 1, dtype=torch.int32, device=queries.device)
        out = varlen_attn(
            queries,
            keys,
            values,
            turns,
            turns * (table.shape[1] * self.page_tokens),
            1,
            table.shape[1] * self.page_tokens,
            scale=scaling,
            enable_gqa=queries.shape[1] != keys.shape[2],
            seqused_k=lengths,
            block_table=table,
        )
        assert isinstance(out, Tensor)
        return out
