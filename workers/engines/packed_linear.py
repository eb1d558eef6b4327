"""Linear layers for a CPU, with their weights in the layout of its matrix kernels.

torch reorders a plain linear's weight at every call, which for the few tokens of a step costs as
much as the product itself. The calls used here are not public: if this torch does not have them, or
their results differ on this processor, the model is not changed.
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class PackedLinear(nn.Module):
    """Computes what ``linear`` does, with its own copy of the weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        bias: Any = linear.bias  # its type lacks None
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``(..., in_features)`` into ``(..., out_features)``."""
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")


def pack(model: nn.Module) -> bool:
    """Replace every linear layer of a model by a packed one; return False if that is impossible."""
    layers = {name: part for name, part in model.named_modules() if type(part) is nn.Linear}
    try:
        with torch.inference_mode():
            for number, name in enumerate(list(layers)):
                # Taken out one by one, so that only one weight is in memory twice.
                layer = layers.pop(name)
                packed = PackedLinear(layer)
                if number == 0:
                    _compare(layer, packed)
                model.set_submodule(name, packed)
            for kept in model.parameters():
                # While one of them is part of the mapped file, all of the file stays in memory.
                kept.data = kept.data.clone()
    except Exception as exc:  # private calls may fail in any way
        log.info("linear layers are not packed: %s", exc)
        return False
    return True


def _compare(layer: nn.Linear, packed: PackedLinear) -> None:
    """Raise unless both layers compute the same, up to rounding."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, layer.in_features, generator=generator).to(layer.weight.dtype)
    torch.testing.assert_close(packed(x), layer(x))
