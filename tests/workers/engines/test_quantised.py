"""Quantised weights: rounded at load, or as a checkpoint has them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from harness import tiny_llama
from tests.workers.listener import answer
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import quantised_checkpoint
from turnstream.workers.engines.load import load_engine
from turnstream.workers.engines.loaded_model import LoadedModel
from turnstream.workers.engines.quantised_linear import (
    Int4Linear,
    Int8Linear,
    Quantise,
    quantise,
    rounded_to_4_bits,
)

CPU = torch.device("cpu")
#: A block of weights that share a scale, in the checkpoints that are made here.
BLOCK = 32


def load(folder: Path, **settings: Any) -> LoadedModel:
    return load_engine(
        model=str(folder),
        device="cpu",
        slots=2,
        context=100,
        after_step=lambda: None,
        **({"dtype": "float32"} | settings),
    )


def greedy(loaded: LoadedModel, prompt: list[int]) -> list[int]:
    try:
        return answer(loaded.engine, prompt, SamplingParams(max_tokens=20, temperature=0))
    finally:
        loaded.engine.stop(0)


def with_quantisation(folder: Path, to: Path, settings: dict[str, Any]) -> Path:
    """Return a copy of a folder whose config says how it is quantised."""
    copy = Path(shutil.copytree(folder, to))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return copy


@pytest.fixture
def fp8(tiny_llama_folder: Path, tmp_path: Path) -> Path:
    """The tiny Llama as DeepSeek's tools store models: 8-bit floats, and a scale for each block."""
    settings = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    settings |= {"weight_block_size": [BLOCK, BLOCK]}
    folder = with_quantisation(tiny_llama_folder, tmp_path / "fp8", settings)
    stored = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        stored[name] = weight
        if "proj" in name:
            scale = weight.abs().max() / 448
            stored[name] = (weight / scale).to(torch.float8_e4m3fn)
            blocks = [-(-size // BLOCK) for size in weight.shape]
            stored[f"{name}_scale_inv"] = scale.expand(blocks).contiguous()
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("kind", "bound"), [(Int4Linear, 0.1), (Int8Linear, 0.01)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_quantised_layer_computes_nearly_the_same(
    kind: type[nn.Module], bound: float, bias: bool
) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 48, bias=bias, dtype=torch.bfloat16)
    x = torch.randn(2, 3, 64, dtype=torch.bfloat16)
    with torch.inference_mode():
        expected, got = linear(x), kind(linear, CPU)(x)
    assert got.shape == expected.shape
    assert (got - expected).float().std() < bound * expected.float().std()


def test_each_weight_is_rounded_to_the_nearest_of_its_groups_steps() -> None:
    torch.manual_seed(1)
    weight = torch.randn(16, 64)
    steps, both = rounded_to_4_bits(weight)
    scales, zeros = both.transpose(0, 1).unbind(-1)

    kept = (steps.unflatten(1, (-1, 32)) - 8) * scales[..., None] + zeros[..., None]

    assert (steps.min(), steps.max()) == (0, 15)
    off = (kept - weight.unflatten(1, (-1, 32))).abs()
    assert (off <= scales[..., None] * 0.5001).all()


def cell(weights: str, engine: str, how: str, family: str = "`llama`") -> pytest.MarkDecorator:
    return pytest.mark.model_cell(family, weights, engine, how)


@pytest.mark.parametrize(
    "to",
    [
        pytest.param(to, marks=cell(f"`--quantize {to}` on a CPU", "slot", "run"))
        for to in (Quantise.INT4, Quantise.INT8)
    ],
)
def test_the_engine_answers_as_the_quantised_model_does(
    tiny_llama_folder: Path, to: Quantise
) -> None:
    prompt = [1, 5, 6, 7, 30, 40]
    reference = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.bfloat16).eval()
    quantise(reference, to, CPU)
    expected = reference.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)

    ids = greedy(load(tiny_llama_folder, dtype="auto", quantize=to), prompt)

    assert ids == expected[0, len(prompt) :].tolist()[: len(ids)]
    assert len(ids) > 3


def test_what_is_not_a_layer_of_the_body_stays_as_it_was(tiny_llama_folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.bfloat16)
    quantise(model, Quantise.INT4, CPU)
    kinds = {type(part) for part in model.model.layers.modules()}
    assert Int4Linear in kinds
    assert nn.Linear not in kinds
    assert type(model.lm_head) is nn.Linear


def test_a_layer_whose_sizes_no_kernel_takes_stays_plain() -> None:
    model = nn.Sequential(nn.Linear(40, 16, dtype=torch.bfloat16))
    quantise(model, Quantise.INT4, CPU)
    assert type(model[0]) is nn.Linear


@cell("`--quantize int4` on a GPU", "slot", "shape")
@cell("`--quantize int8` on a GPU", "slot", "shape")
def test_on_a_gpu_a_layer_of_llama_2_7b_has_a_quarter_or_half_of_its_bytes() -> None:
    """By shape only, and without the product of 4 bits: nothing is computed."""
    meta = torch.device("meta")
    linear = nn.Linear(4096, 11008, bias=False, dtype=torch.bfloat16, device=meta)
    x = torch.empty(2, 3, 4096, dtype=torch.bfloat16, device=meta)
    with torch.inference_mode():
        four, eight = Int4Linear(linear, meta), Int8Linear(linear, meta)
        assert eight(x).shape == (2, 3, 11008)
    assert four._weight.nbytes * 4 == eight._weight.nbytes * 2 == linear.weight.nbytes


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"dtype": "float32"}, "needs the dtype bfloat16, not float32"),
        pytest.param(
            {"engine": "vllm", "dtype": "auto"},
            "the engine vllm does not do that",
            marks=[
                cell(f"`--quantize {to}` on a {device}", "vllm", "refused")
                for to in ("int4", "int8")
                for device in ("CPU", "GPU")
            ],
        ),
    ],
)
def test_quantising_is_refused_where_it_cannot_be(
    tiny_llama_folder: Path, settings: dict[str, str], what: str
) -> None:
    with pytest.raises(CheckpointError, match=f"^quantize int4: {what}$"):
        load(tiny_llama_folder, quantize=Quantise.INT4, **settings)


@cell("fp8 by blocks", "slot", "run")
def test_fp8_is_read_with_its_scales(fp8: Path, reference: LlamaForCausalLM) -> None:
    prompt = [1, 5, 6, 7, 30, 40]
    expected = LlamaForCausalLM.from_pretrained(fp8, dtype=torch.float32)
    ids = expected.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0]

    assert greedy(load(fp8), prompt) == ids[len(prompt) :].tolist()
    with torch.inference_mode():
        ours, exact = (model(torch.tensor([prompt])).logits for model in (expected, reference))
    assert (ours - exact).std() < 0.2 * exact.std()


def test_a_quantised_checkpoint_is_not_quantised_again(fp8: Path) -> None:
    with pytest.raises(CheckpointError, match="model fp8 is quantised by fp8 already"):
        load(fp8, dtype="auto", quantize=Quantise.INT8)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        pytest.param(
            {"quant_method": "awq", "bits": 4},
            "quantised by awq; pip install accelerate gptqmodel",
            marks=cell("AWQ", "slot", "not run"),
        ),
        pytest.param(
            {"quant_method": "gptq", "bits": 4},
            "quantised by gptq; pip install accelerate optimum gptqmodel",
            marks=cell("GPTQ", "slot", "not run"),
        ),
        pytest.param(
            {"load_in_4bit": True},
            "quantised by bitsandbytes; pip install accelerate bitsandbytes",
            marks=cell("bitsandbytes", "slot", "not run"),
        ),
        pytest.param(
            {"quant_method": "compressed-tensors"},
            "quantised by compressed-tensors; pip install accelerate compressed-tensors",
            marks=cell("compressed-tensors", "slot", "not run"),
        ),
        pytest.param(
            {"quant_method": "hqq"},
            "quantised by hqq; the engine slot reads"
            " bitsandbytes, compressed-tensors, fp8, gptq, awq",
            marks=cell("any other `quant_method`", "slot", "refused", "any"),
        ),
    ],
)
def test_what_a_quantised_checkpoint_needs_is_said_in_one_line(
    tiny_llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    what: str,
) -> None:
    monkeypatch.setattr(quantised_checkpoint, "find_spec", lambda _: None)
    folder = with_quantisation(tiny_llama_folder, tmp_path / "mine", settings)
    method = quantised_checkpoint.quant_method(json.loads((folder / "config.json").read_text()))
    assert method
    with pytest.raises(CheckpointError, match=f"^model mine: {what}$"):
        quantised_checkpoint.check("mine", method)


def test_a_model_that_cannot_be_computed_is_refused_at_start() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tiny_llama.VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
        )
    )
    model.model.layers[0].mlp.up_proj = nn.Linear(7, 64)
    with pytest.raises(CheckpointError, match=r"^model any: cannot compute with it: "):
        quantised_checkpoint.try_out("any", model)
