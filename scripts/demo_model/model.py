"""The shape of the demo model, and its folder in the Hugging Face layout."""

import json
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from scripts.demo_model.tokenizer import CONTEXT_TOKENS, VOCABULARY


def new_model(seed: int) -> LlamaForCausalLM:
    """Return a model with random weights in float32."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=None,
        )
    )


def load_model(folder: Path) -> LlamaForCausalLM:
    """Return a model with the weights of a folder, in float32."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save_model(model: LlamaForCausalLM, folder: Path) -> None:
    """Write the weights in bfloat16, the configuration and the generation settings."""
    copy = LlamaForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, do_sample=False)
    copy.save_pretrained(folder)
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["turnstream_prompt"] = "llama-2-chat"
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
