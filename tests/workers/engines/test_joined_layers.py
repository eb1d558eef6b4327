"""Joined layers compute what transformers' layers compute."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from turnstream.workers.engines import attention
from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.joined_layers import (
    JoinedAttention,
    JoinedMlp,
    fuse_norms,
    join,
)
from turnstream.workers.engines.slot_cache import SlotCache


def loaded(folder: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    attention.register(model)
    return model


def hidden(model: LlamaForCausalLM) -> torch.Tensor:
    """Return the last hidden states of a prompt, and of a step with its next token."""
    cache = SlotCache(model.config, slots=2, context=64, dtype=model.dtype, device=model.device)
    steps = (
        [NewTokens(slot=1, start=0, ids=range(3, 33))],
        [NewTokens(slot=0, start=0, ids=range(9, 40)), NewTokens(slot=1, start=30, ids=[7])],
    )
    with torch.inference_mode():
        return torch.cat([PackedStep(cache, step, model.device).hidden(model) for step in steps])


def test_fused_norms_change_no_bit_in_float32(tiny_llama_folder: Path) -> None:
    plain, fused = loaded(tiny_llama_folder), loaded(tiny_llama_folder)
    fuse_norms(fused)
    assert "LlamaRMSNorm" not in str(fused)
    assert torch.equal(hidden(fused), hidden(plain))


def test_joined_layers_compute_the_same(tiny_llama_folder: Path) -> None:
    plain, joined = loaded(tiny_llama_folder), loaded(tiny_llama_folder)
    join(joined)
    for layer in joined.model.layers:
        assert isinstance(layer.self_attn, JoinedAttention)
        assert isinstance(layer.mlp, JoinedMlp)
    torch.testing.assert_close(hidden(joined), hidden(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_biases_and_other_numbers_of_key_heads_are_joined_too(kv_heads: int) -> None:
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        attention_bias=True,
        mlp_bias=True,
        initializer_range=0.5,
    )
    torch.manual_seed(3)
    model = LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    attention.register(model)
    before = hidden(model)
    join(model)
    torch.testing.assert_close(hidden(model), before, rtol=1e-4, atol=1e-5)


def test_a_layer_with_another_kind_of_projection_is_left_as_it_is(tiny_llama_folder: Path) -> None:
    class Quantised(nn.Linear):
        """Stands for a layer whose weight cannot be joined."""

    model = loaded(tiny_llama_folder)
    before = hidden(model)
    first, second = model.model.layers
    for part, name in ((first.self_attn, "k_proj"), (first.mlp, "up_proj")):
        plain = getattr(part, name)
        other = Quantised(plain.in_features, plain.out_features, bias=False)
        other.weight = plain.weight
        setattr(part, name, other)
    join(model)
    assert not isinstance(first.self_attn, JoinedAttention)
    assert not isinstance(first.mlp, JoinedMlp)
    assert isinstance(second.self_attn, JoinedAttention)
    torch.testing.assert_close(hidden(model), before, rtol=1e-4, atol=1e-5)
