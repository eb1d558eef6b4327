"""Packed layers compute what plain ones compute; a model that cannot be packed is unchanged."""

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from turnstream.workers.engines import packed_linear
from turnstream.workers.engines.packed_linear import PackedLinear, pack

packs = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no packed layers"
)


def model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        OrderedDict(first=nn.Linear(24, 40), between=nn.SiLU(), last=nn.Linear(40, 8, bias=False))
    )


@packs
@pytest.mark.parametrize("tokens", [1, 3, 16, 100])
def test_a_packed_model_computes_the_same(tokens: int) -> None:
    plain, packed = model(), model()
    assert pack(packed)
    assert isinstance(packed.last, PackedLinear)
    x = torch.randn(1, tokens, 24, generator=torch.Generator().manual_seed(tokens))
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), plain(x))


def test_a_model_is_unchanged_if_packing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: PackedLinear, x: Tensor) -> Tensor:
        return torch.zeros(*x.shape[:-1], 40)

    monkeypatch.setattr(packed_linear.PackedLinear, "forward", wrong)
    plain = model()
    assert not pack(plain)
    assert isinstance(plain.first, nn.Linear)
    assert isinstance(plain.last, nn.Linear)
