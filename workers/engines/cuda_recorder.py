"""Steps recorded as CUDA graphs, with torch's own flash attention over the slots.

It needs no package but torch. It has not been run on a GPU yet: each recording is compared with a
plain step, and is not used if it differs or fails.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

#: How often a step runs before it is recorded; libraries choose kernels and memory meanwhile.
WARM_UP_RUNS = 3
_DTYPES = (torch.bfloat16, torch.float16)


class CudaRecorder:
    """Records steps on one GPU; the recordings share their memory."""

    #: The smallest page size that the kernel supports.
    page_tokens = 256

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    @staticmethod
    def suits(device: torch.device, dtype: torch.dtype) -> bool:
        """Return whether a device can record steps and has the attention kernel."""
        if device.type != "cuda" or dtype not in _DTYPES:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

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
        """Attend from each query to its slot; see `Recorder.attend`."""
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
