"""The attention of plain slots in the form of attention over pages, so that one check fits both."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig

from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.slot_cache import SlotCache


@dataclass(frozen=True, slots=True)
class SlotAttention:
    """Attention as a CPU computes it; see `PagedAttention`."""

    #: None for torch's own products.
    decode_op: DecodeOp | None

    def __call__(
        self,
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
        """Copy the pages into slots and attend there; each turn has ``longest`` queries."""
        cache = SlotCache(
            LlamaConfig(
                num_hidden_layers=1,
                num_attention_heads=queries.shape[1],
                num_key_value_heads=keys.shape[2],
                head_dim=queries.shape[2],
            ),
            slots=len(table),
            context=table.shape[1] * keys.shape[1],
            dtype=queries.dtype,
            device=queries.device,
        )
        for block, pages in ((cache.keys[0], keys), (cache.values[0], values)):
            block.copy_(pages[table].flatten(1, 2).transpose(1, 2))
        new = [
            NewTokens(slot=slot, start=length - longest, ids=[0] * longest)
            for slot, length in enumerate(lengths.tolist())
        ]
        step = PackedStep(cache, new, queries.device)
        if self.decode_op is None:
            return step.attend(0, queries, scaling)
        # The op stores the step's own keys and values, so it is given those that are there.
        stored = [block[0][step.slots, :, step.positions] for block in (cache.keys, cache.values)]
        out = self.decode_op(
            torch.cat([queries, *stored], 1).contiguous(),
            queries.new_ones(len(queries), queries.shape[2]),
            queries.new_zeros(len(queries), queries.shape[2]),
            step.slots,
            step.positions,
            cache.keys[0],
            cache.values[0],
            heads=queries.shape[1],
            decode_tokens=step.decode_tokens,
            scaling=scaling,
        )
        step.attend_chunks(0, queries, scaling, out)
        return out
