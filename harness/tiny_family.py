"""A model of a few thousand parameters of any family, with the tokenizer of `tiny_llama`.

Biases and the scales of norms are drawn as well: as 0 and 1, which they begin as, nobody would see
that they are left out.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from harness import tiny_llama

HEADS = 4
#: Families whose heads may be of any width, whatever the width of a layer.
_OWN_WIDTH = ("gemma", "gemma3_text", "mistral", "qwen3")
#: What makes a family different and is off, or too large to matter, in a config of its own.
_SETTINGS: dict[str, dict[str, Any]] = {
    # Tied, their large embeddings would repeat the last token.
    "gemma": {"tie_word_embeddings": False},
    "gemma3_text": {
        "tie_word_embeddings": False,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": tiny_llama.CONTEXT,
        "query_pre_attn_scalar": 24,
    },
}


def make(folder: Path, kind: str, *, head_dim: int | None = None, **settings: Any) -> Path:
    """Draw the weights, save model and tokenizer and return the folder.

    Args:
        kind: the `model_type`.
        head_dim: the width of a head; None takes one that differs from the family's usual one.
        settings: what else the config says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tiny_llama.make_tokenizer(folder)
    size: dict[str, Any] = {
        "vocab_size": tiny_llama.VOCABULARY,
        "hidden_size": HEADS * (head_dim or 8),
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": tiny_llama.CONTEXT,
        "initializer_range": 0.5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if kind in _OWN_WIDTH:
        size["head_dim"] = head_dim or 16
    state = torch.get_rng_state()
    torch.manual_seed(6)
    config = AutoConfig.for_model(kind, **size | _SETTINGS.get(kind, {}) | settings)
    model = AutoModelForCausalLM.from_config(config)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            # Gemma adds 1 to its scales.
            around_0 = name.endswith("bias") or kind.startswith("gemma")
            torch.nn.init.normal_(weight, mean=0.0 if around_0 else 1.0, std=0.3)
    torch.set_rng_state(state)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
    return folder
