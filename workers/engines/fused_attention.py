"""A layer's attention with the compiled op: one input projection, the op, one output projection.

It replaces transformers' own module and reads the same `PackedStep` as `slot_attention`. Prefill
chunks are computed by torch, whose kernels are fast for them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

from turnstream.workers.engines.attention import PackedStep
from turnstream.workers.engines.decode_op import DTYPES, DecodeOp
from turnstream.workers.engines.joined_layers import joined
from turnstream.workers.engines.slot_cache import SlotCache


class FusedAttention(nn.Module):
    """Computes what `LlamaAttention` computes."""

    def __init__(self, plain: LlamaAttention, op: DecodeOp) -> None:
        super().__init__()
        self.qkv_proj = joined([plain.q_proj, plain.k_proj, plain.v_proj])
        self.o_proj = plain.o_proj
        self._op = op
        self._layer = int(plain.layer_idx)
        self._width = int(plain.head_dim)
        self._heads = plain.q_proj.out_features // self._width
        self._scaling = float(plain.scaling)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        position_embeddings: tuple[Tensor, Tensor],
        step: PackedStep,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Take ``(1, tokens, hidden)`` and return the same, and no weights."""
        tokens = hidden_states.shape[1]
        qkv = self.qkv_proj(hidden_states).view(tokens, -1, self._width)
        cos, sin = position_embeddings
        assert isinstance(step.cache, SlotCache)
        keys, values = step.cache.keys[self._layer], step.cache.values[self._layer]
        out = self._op(
            qkv,
            cos[0],
            sin[0],
            step.slots,
            step.positions,
            keys,
            values,
            heads=self._heads,
            decode_tokens=step.decode_tokens,
            scaling=self._scaling,
        )
        step.attend_chunks(self._layer, qkv[:, : self._heads], self._scaling, out)
        return self.o_proj(out.view(1, tokens, -1)), None


def fuse(model: LlamaForCausalLM, op: DecodeOp) -> bool:
    """Replace every layer's attention by a `FusedAttention`; return False if that is impossible."""
    rotated = 2 * model.model.rotary_emb.inv_freq.numel()
    if hasattr(model.model.layers[0].self_attn, "q_norm"):
        return False
    if model.dtype not in DTYPES or rotated != model.model.layers[0].self_attn.head_dim:
        return False
    with torch.inference_mode():
        for layer in model.model.layers:
            layer.self_attn = FusedAttention(layer.self_attn, op)
    return True
