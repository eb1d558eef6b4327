"""Linear layers for a CPU, their weights laid out as its matrix kernels want to read them.

torch lays a plain linear's weight out anew at every call, which for the few tokens of a step costs
as much as the product itself. The calls used here are not public: if this torch has them no more,
or they answer differently on this processor, the model stays as it is.
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class PackedLinear(nn.Module):
    """A linear layer that computes what ``linear`` does, and holds its own copy of the weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        bias: Any = linear.bias  # None is missing from its type
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``(..., in_features)`` into ``(..., out_features)``."""
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")


def pack(model: nn.Module) -> bool:
    """Swap every linear layer of a model for a packed one; say whether that was possible."""
    layers = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    try:
        with torch.inference_mode():
            for name, layer in layers.items():
                packed = PackedLinear(layer)
                if name == next(iter(layers)):
                    _compare(layer, packed)
                # Swapped one by one, so that never more than one weight is in memory twice.
                model.set_submodule(name, packed)
    except Exception as exc:  # private calls may fail in any way
        log.info("linear layers stay as they are: %s", exc)
        return False
    return True


def _compare(layer: nn.Linear, packed: PackedLinear) -> None:
    """Raise unless both layers say the same, up to rounding."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, layer.in_features, generator=generator).to(layer.weight.dtype)
    torch.testing.assert_close(packed(x), layer(x))
