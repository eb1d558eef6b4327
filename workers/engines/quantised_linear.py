"""Linear layers with their weights rounded to 4 or 8 bits when a plain model is loaded.

They need bfloat16: torch's kernels for a CPU compute other dtypes element by element. Log
probabilities come from the output layer, which stays as it is, like everything that is not linear.
"""

from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from turnstream.workers.engine import CheckpointError

#: Neighbouring weights of a row that share a scale and a zero, where they have 4 bits.
GROUP = 32
#: The tiles of a GPU's kernel: inputs in steps of 16 × this, outputs in steps of 8.
_INNER_TILES = 8


class Quantise(StrEnum):
    """What weights are rounded to at load."""

    NONE = "none"
    INT4 = "int4"
    INT8 = "int8"


class Int4Linear(nn.Module):
    """Computes what ``linear`` does, nearly: each group of its weights has 16 steps."""

    def __init__(self, linear: nn.Linear, device: torch.device) -> None:
        super().__init__()
        self._bias = _bias(linear, device)
        steps, scales_and_zeros = rounded_to_4_bits(linear.weight.detach().to(device))
        self._scales_and_zeros = scales_and_zeros
        self._out = linear.out_features
        if device.type == "cpu":
            self._weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(steps, 1)
            self._multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
        else:
            pairs = (steps[:, ::2] << 4 | steps[:, 1::2]).to(torch.uint8)
            self._weight = torch.ops.aten._convert_weight_to_int4pack(pairs, _INNER_TILES)
            self._multiply = torch.ops.aten._weight_int4pack_mm

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``(..., in_features)`` into ``(..., out_features)``."""
        rows = x.reshape(-1, x.shape[-1])
        out = self._multiply(rows, self._weight, GROUP, self._scales_and_zeros)
        out = out.view(*x.shape[:-1], self._out)
        return out if self._bias is None else out + self._bias


class Int8Linear(nn.Module):
    """Computes what ``linear`` does, nearly: each row of its weights has 255 steps."""

    def __init__(self, linear: nn.Linear, device: torch.device) -> None:
        super().__init__()
        self._bias = _bias(linear, device)
        weight = linear.weight.detach().to(device)
        scales = (weight.float().abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        self._weight = (weight.float() / scales[:, None]).round().to(torch.int8)
        self._scales = scales.to(weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``(..., in_features)`` into ``(..., out_features)``."""
        if x.device.type == "cpu":
            rows = x.reshape(-1, x.shape[-1])
            out = torch.ops.aten._weight_int8pack_mm(rows, self._weight, self._scales)
            out = out.view(*x.shape[:-1], -1)
        else:
            out = functional.linear(x, self._weight.to(x.dtype)) * self._scales
        return out if self._bias is None else out + self._bias


def quantised_dtype(to: Quantise, *, dtype: str, engine: str) -> str:
    """Return the dtype setting of a model that is quantised at load.

    Raises:
        CheckpointError: the engine does not do that, or another dtype is asked for.
    """
    if engine != "slot":
        raise CheckpointError(f"quantize {to}: the engine {engine} does not do that")
    if dtype not in ("auto", "bfloat16"):
        raise CheckpointError(f"quantize {to}: needs the dtype bfloat16, not {dtype}")
    return "bfloat16"


def quantise(model: nn.Module, to: Quantise, device: torch.device) -> None:
    """Replace a model's linear layers by quantised ones on a device, and move the rest there.

    Layers go one by one, so that the device never has to hold the whole model as it was.

    Args:
        model: in bfloat16; layers whose sizes the kernels don't take stay as they are.
    """
    layers = {
        name: part
        for name, part in model.named_modules()
        if type(part) is nn.Linear and name != "lm_head"
    }
    with torch.inference_mode():
        for name in list(layers):
            # Taken out one by one, so that only one weight is in memory twice.
            layer = layers.pop(name)
            if to is Quantise.INT8:
                model.set_submodule(name, Int8Linear(layer, device))
            elif to is Quantise.INT4 and _fits(layer, device):
                model.set_submodule(name, Int4Linear(layer, device))
    model.to(device)


def rounded_to_4_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a weight to 16 steps between the least and the most of each group.

    Returns:
        ``(out, in)`` int32 steps, 0 to 15, and ``(in / GROUP, out, 2)`` scales and zeros in the
        weight's dtype: a step ``n`` is worth ``(n - 8) * scale + zero``.
    """
    groups = weight.float().unflatten(1, (-1, GROUP))
    least, most = groups.amin(-1), groups.amax(-1)
    # Rounded before they are used, so that steps are the nearest to what the kernels compute.
    scales = ((most - least) / 15).clamp(min=1e-6).to(weight.dtype)
    zeros = (least + 8 * scales.float()).to(weight.dtype)
    steps = ((groups - zeros.float()[..., None]) / scales.float()[..., None]).round() + 8
    both = torch.stack([scales, zeros], -1).transpose(0, 1).contiguous()
    return steps.clamp(0, 15).to(torch.int32).flatten(1), both


def _fits(layer: nn.Linear, device: torch.device) -> bool:
    if device.type == "cpu":
        return layer.in_features % GROUP == 0 and layer.out_features % 16 == 0
    return layer.in_features % (16 * _INNER_TILES) == 0 and layer.out_features % 8 == 0


def _bias(linear: nn.Linear, device: torch.device) -> Tensor | None:
    bias: Any = linear.bias  # its type lacks None
    return None if bias is None else bias.detach().to(device)
