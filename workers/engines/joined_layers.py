"""A Llama's layers with fewer and larger operations, for devices on which each launch costs time.

They compute what transformers' layers compute: in float32 the same, otherwise up to rounding. A
layer of another kind, such as a quantised one, is left as it is.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRMSNorm

from turnstream.workers.engines.attention import Step


class FusedNorm(nn.Module):
    """Computes what `LlamaRMSNorm` computes, in one operation."""

    def __init__(self, plain: LlamaRMSNorm) -> None:
        super().__init__()
        self.weight = plain.weight
        self._epsilon = float(plain.variance_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(..., hidden)``."""
        return nn.functional.rms_norm(x, self.weight.shape, self.weight, self._epsilon)


class JoinedAttention(nn.Module):
    """Computes what `LlamaAttention` computes over the slots of a step."""

    def __init__(self, plain: LlamaAttention) -> None:
        super().__init__()
        self.qkv_proj = joined([plain.q_proj, plain.k_proj, plain.v_proj])
        self.o_proj = plain.o_proj
        self._layer = int(plain.layer_idx)
        self._width = int(plain.head_dim)
        self._heads = plain.q_proj.out_features // self._width
        self._kv_heads = plain.k_proj.out_features // self._width
        self._scaling = float(plain.scaling)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        position_embeddings: tuple[Tensor, Tensor],
        step: Step,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Take ``(1, tokens, hidden)`` and return the same, and no weights."""
        tokens = hidden_states.shape[1]
        qkv = self.qkv_proj(hidden_states).view(tokens, -1, self._width)
        cos, sin = (each[0, :, None] for each in position_embeddings)
        # Queries and keys at once.
        plain = qkv[:, : -self._kv_heads]
        rotated = plain * cos + _half_turned(plain) * sin
        step.store(self._layer, rotated[:, self._heads :], qkv[:, -self._kv_heads :])
        out = step.attend(self._layer, rotated[:, : self._heads], self._scaling)
        return self.o_proj(out.reshape(1, tokens, -1)), None


class JoinedMlp(nn.Module):
    """Computes what `LlamaMLP` computes."""

    def __init__(self, plain: LlamaMLP) -> None:
        super().__init__()
        self.gate_up_proj = joined([plain.gate_proj, plain.up_proj])
        self.down_proj = plain.down_proj
        self._act = plain.act_fn

    def forward(self, x: Tensor) -> Tensor:
        """Take and return ``(..., hidden)``."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(self._act(gate) * up)
        return out


def fuse_norms(model: LlamaForCausalLM) -> None:
    """Replace every norm by a `FusedNorm`."""
    for name, norm in [*model.named_modules()]:
        if type(norm) is LlamaRMSNorm:
            model.set_submodule(name, FusedNorm(norm))


def join(model: LlamaForCausalLM) -> None:
    """Replace attention and MLP of every layer, where their projections can be joined."""
    with torch.inference_mode():
        # Layer by layer, so that only one layer's weights are in memory twice.
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            if type(attention) is LlamaAttention and _plain(
                attention.q_proj, attention.k_proj, attention.v_proj
            ):
                layer.self_attn = JoinedAttention(attention)
            if type(mlp) is LlamaMLP and _plain(mlp.gate_proj, mlp.up_proj):
                layer.mlp = JoinedMlp(mlp)


def joined(layers: list[nn.Linear]) -> nn.Linear:
    """Return one linear layer that computes several at once."""
    sizes = [layer.out_features for layer in layers]
    one = nn.Linear(layers[0].in_features, sum(sizes), bias=False, device="meta")
    one.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]), requires_grad=False)
    if layers[0].bias is not None:
        bias = torch.cat([layer.bias for layer in layers])
        one.bias = nn.Parameter(bias, requires_grad=False)
    return one


def _plain(*layers: nn.Module) -> bool:
    return all(type(layer) is nn.Linear for layer in layers)


def _half_turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
