"""LoRA adapters: merged into their base, or refused by name."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, LlamaForCausalLM

from harness import tiny_llama
from tests.workers.engines.test_quantised import with_quantisation
from tests.workers.listener import answer
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import load, lora, lora_config
from turnstream.workers.engines.checkpoint import find

RANK, ALPHA = 4, 16
LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")


#: Inputs and outputs of those layers.
SIZES = {LAYERS[0]: (32, 32), LAYERS[1]: (64, 32)}


def write(
    folder: Path,
    base: Path | str,
    *,
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    **settings: Any,
) -> Path:
    """Write an adapter as PEFT does, with random weights for some layers."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
    config |= {"base_model_name_or_path": str(base), "init_lora_weights": True}
    config |= {"target_modules": [name.rpartition(".")[2] for name in sizes]}
    (folder / lora_config.CONFIG).write_text(json.dumps(config | settings))
    generator = torch.Generator().manual_seed(5)
    weights = {}
    for name, (inputs, outputs) in sizes.items():
        prefix = f"base_model.model.{name}"
        weights[f"{prefix}.lora_A.weight"] = torch.randn(RANK, inputs, generator=generator) / 4
        weights[f"{prefix}.lora_B.weight"] = torch.randn(outputs, RANK, generator=generator) / 4
    save_file(weights, folder / lora.WEIGHTS)
    return folder


def merged(base: Path, adapter: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    lora.merge(model, adapter)
    return model


@pytest.mark.parametrize(
    ("settings", "scales"),
    [
        ({}, (ALPHA / RANK, ALPHA / RANK)),
        ({"use_rslora": True}, (ALPHA / 2, ALPHA / 2)),
        ({"alpha_pattern": {"q_proj": 8, "proj": 99}}, (8 / RANK, ALPHA / RANK)),
        ({"alpha_pattern": {r"layers\.\d+\.mlp\.down_proj": 2}}, (ALPHA / RANK, 2 / RANK)),
    ],
    ids=["plain", "rslora", "alpha-by-name", "alpha-by-pattern"],
)
def test_each_layer_gets_its_product_times_its_scale(
    tiny_llama_folder: Path,
    reference: LlamaForCausalLM,
    tmp_path: Path,
    settings: dict[str, Any],
    scales: tuple[float, float],
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder, **settings)
    weights = lora.load_file(adapter / lora.WEIGHTS)

    model = merged(tiny_llama_folder, adapter)

    for name, weight in model.state_dict().items():
        expected = reference.get_parameter(name).detach().clone()
        for layer, scale in zip(LAYERS, scales, strict=True):
            if name == f"{layer}.weight":
                up, down = (weights[f"base_model.model.{layer}.lora_{x}.weight"] for x in "BA")
                expected += scale * (up @ down)
        torch.testing.assert_close(weight, expected)


@pytest.mark.model_cell("`llama`", "a LoRA adapter (PEFT)", "slot", "run")
def test_an_adapters_folder_is_a_model_under_its_own_name(
    tiny_llama_folder: Path, reference: LlamaForCausalLM, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder)
    loaded = load.load_engine(
        model=str(adapter),
        device="cpu",
        dtype="float32",
        slots=1,
        context=100,
        after_step=lambda: None,
    )
    prompt = [1, 5, 6, 7, 30, 40]
    try:
        ids = answer(loaded.engine, prompt, SamplingParams(max_tokens=20, temperature=0))
    finally:
        loaded.engine.stop(0)

    def generated(model: LlamaForCausalLM) -> list[int]:
        out = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)
        return out[0, len(prompt) :].tolist()[: len(ids)]

    assert loaded.name == "poet"
    assert ids == generated(merged(tiny_llama_folder, adapter))
    assert ids != generated(reference)


@pytest.mark.parametrize(
    "sizes",
    [{LAYERS[0]: (32, 9)}, {LAYERS[0]: (31, 32)}, {"model.layers.9.self_attn.q_proj": (32, 32)}],
)
def test_an_adapter_whose_layers_are_not_the_models_is_refused_for_any_engine(
    tiny_llama_folder: Path, tmp_path: Path, sizes: dict[str, tuple[int, int]]
) -> None:
    config = AutoConfig.from_pretrained(tiny_llama_folder)
    lora.check_fits(write(tmp_path / "fits", tiny_llama_folder), config)
    adapter = write(tmp_path / "poet", tiny_llama_folder, sizes=sizes)

    with pytest.raises(CheckpointError, match=f"{next(iter(sizes))} does not fit the model"):
        lora.check_fits(adapter, config)


def test_a_setting_names_another_base(tiny_llama_folder: Path, tmp_path: Path) -> None:
    adapter = write(tmp_path / "poet", "/where/it/was/trained")
    with pytest.raises(
        CheckpointError,
        match="model poet: cannot find its base, which TURNSTREAM_LORA_BASE can name: "
        "model /where/it/was/trained: no such folder",
    ):
        find(str(adapter))

    found = find(str(adapter), lora_base=str(tiny_llama_folder))

    assert (found.folder, found.adapter) == (tiny_llama_folder, adapter)


@pytest.mark.model_cell("`llama`", "a LoRA adapter of a quantised base", "slot", "refused")
def test_an_adapter_of_a_quantised_base_is_left_to_vllm(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    settings = {"quant_method": "awq", "bits": 4}
    base = with_quantisation(tiny_llama_folder, tmp_path / "base", settings)
    with pytest.raises(CheckpointError, match=r"quantised by awq; a LoRA adapter .*--engine vllm$"):
        load.load_weights(
            find(str(write(tmp_path / "poet", base))),
            device=torch.device("cpu"),
            dtype=torch.float32,
        )


def test_an_adapters_own_tokenizer_is_used(tiny_llama_folder: Path, tmp_path: Path) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder)
    assert find(str(adapter)).tokenizer_folder == tiny_llama_folder
    shutil.copy(tiny_llama_folder / "tokenizer_config.json", adapter)
    assert find(str(adapter)).tokenizer_folder == adapter


@pytest.mark.parametrize("engine", ["slot", "vllm"])
@pytest.mark.model_cell("any", "DoRA, PiSSA, `modules_to_save`, biases", "slot", "refused")
@pytest.mark.model_cell("any", "DoRA, PiSSA, `modules_to_save`, biases", "vllm", "refused")
@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"peft_type": "IA3"}, "not a LoRA adapter but IA3"),
        ({"use_dora": True}, "cannot merge an adapter with use_dora"),
        ({"modules_to_save": ["lm_head"]}, "cannot merge an adapter with modules_to_save"),
        ({"bias": "all"}, "cannot merge an adapter with bias"),
        ({"init_lora_weights": "pissa"}, "cannot merge an adapter with init_lora_weights pissa"),
    ],
)
def test_an_adapter_that_is_more_than_a_product_is_refused_by_name(
    tiny_llama_folder: Path, tmp_path: Path, settings: dict[str, Any], what: str, engine: str
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder, **settings)
    with pytest.raises(CheckpointError, match=rf"poet/adapter_config\.json: {re.escape(what)}$"):
        find(str(adapter), engine=engine)


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (
            {"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(1)},
            "base_model.model.model.embed_tokens.lora_embedding_A is no part of a LoRA",
        ),
        (
            {
                f"base_model.model.{LAYERS[0]}.lora_A.weight": torch.zeros(4, 99),
                f"base_model.model.{LAYERS[0]}.lora_B.weight": torch.zeros(32, 4),
            },
            f"{LAYERS[0]} does not fit the model: ",
        ),
        (
            {f"base_model.model.{LAYERS[0]}.lora_A.weight": torch.zeros(4, 32)},
            f"{LAYERS[0]} does not fit the model: ",
        ),
        (
            {
                "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": torch.zeros(4, 32),
                "base_model.model.model.layers.9.mlp.up_proj.lora_B.weight": torch.zeros(64, 4),
            },
            "model.layers.9.mlp.up_proj does not fit the model: ",
        ),
    ],
    ids=["embedding", "another-size", "half", "another-layer"],
)
def test_weights_that_do_not_fit_are_named(
    tiny_llama_folder: Path, tmp_path: Path, weights: dict[str, torch.Tensor], what: str
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder)
    save_file(weights, adapter / lora.WEIGHTS)
    with pytest.raises(CheckpointError, match=re.escape(what)):
        merged(tiny_llama_folder, adapter)


def test_an_output_layer_that_also_embeds_is_not_changed(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder)
    name = "base_model.model.lm_head.lora_{}.weight"
    shapes = {"A": (4, 32), "B": (tiny_llama.VOCABULARY, 4)}
    save_file({name.format(x): torch.zeros(s) for x, s in shapes.items()}, adapter / lora.WEIGHTS)
    model = merged(tiny_llama_folder, adapter)

    model.config.tie_word_embeddings = True
    with pytest.raises(CheckpointError, match="cannot merge into lm_head"):
        lora.merge(model, adapter)
