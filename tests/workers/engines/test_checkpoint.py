"""Finding and loading a checkpoint, and its one-line errors."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import checkpoint
from turnstream.workers.engines.checkpoint import (
    DEMO_FOLDER,
    Checkpoint,
    find,
    load_model,
)
from turnstream.workers.engines.device_choice import SMALL_BYTES, pick_device, pick_dtype
from turnstream.workers.engines.load import load_weights

CPU = torch.device("cpu")


@pytest.fixture
def folder(tiny_llama_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama that tests may damage."""
    return Path(shutil.copytree(tiny_llama_folder, tmp_path / "my-llama"))


def test_a_folder_is_served_under_its_own_name(folder: Path) -> None:
    assert find(str(folder)) == Checkpoint(name="my-llama", folder=folder)


def test_a_relative_folder_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert find("my-llama") == Checkpoint(name="my-llama", folder=folder)
    monkeypatch.chdir(folder)
    assert find(".").name == "my-llama"


def test_the_demo_model_is_inside_the_package() -> None:
    assert DEMO_FOLDER.parts[-2:] == ("workers", "demo")


@pytest.mark.parametrize("model", ["/no/such/place", "./nowhere", "~/nowhere", "a/b/c", "", "a b"])
def test_a_missing_folder_is_not_looked_up_on_the_hub(model: str) -> None:
    with pytest.raises(CheckpointError, match=f"^model {model}: no such folder$"):
        find(model)


def test_a_folder_without_a_config_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"^model my-llama: no config\.json in "):
        find(str(folder))


def test_a_config_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        find(str(folder))


@pytest.mark.model_cell("what is no causal language model", "safetensors", "slot", "refused")
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
            "GPT2LMHeadModel; try --engine vllm",
        ),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "LlamaForSequenceClassification",
        ),
        ({"model_type": "olmo2", "architectures": None}, "olmo2; try --engine vllm"),
    ],
)
def test_another_kind_of_model_is_refused_by_name(
    folder: Path, changes: dict[str, object], what: str
) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(
        CheckpointError, match=f"^model my-llama: not a causal model of gemma, .* but {what}$"
    ):
        find(str(folder))


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights in"):
        find(str(folder))


def test_broken_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot read the weights"):
        load_model(find(str(folder)), device=CPU, dtype=torch.float32)


def test_missing_weights_are_an_error(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"1 weights are missing, such as model\.layers\.1\.mlp\.up_proj"
    ):
        load_model(find(str(folder)), device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    "name", ["model.layers.1.mlp.up_proj.weight_scale", "model.layers.0.self_attn.q_proj.bias"]
)
def test_weights_that_would_be_dropped_are_an_error(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(
        weights | {name: torch.ones(1)}, folder / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(CheckpointError, match=f"1 weights are not known .*, such as {name}"):
        load_model(find(str(folder)), device=CPU, dtype=torch.float32)


def test_rotary_frequencies_of_old_checkpoints_are_not_needed(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_model(find(str(folder)), device=CPU, dtype=torch.float32)


def test_an_unknown_quantisation_is_refused_by_name(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "FP8"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="quantised by modelopt; the engine slot reads"):
        load_weights(find(str(folder)), device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    ("installed", "device_map"), [(True, {"": torch.device("cuda:0")}), (False, None)]
)
def test_weights_go_straight_to_a_gpu_where_accelerate_is_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, device_map: object
) -> None:
    asked: list[object] = []

    def from_pretrained(*_: object, **others: object) -> object:
        asked.append(others["device_map"])
        raise OSError("no GPU here")

    monkeypatch.setattr(checkpoint, "is_accelerate_available", lambda: installed)
    monkeypatch.setattr(checkpoint.LlamaForCausalLM, "from_pretrained", from_pretrained)
    with pytest.raises(CheckpointError, match="no GPU here"):
        load_model(find(str(folder)), device=torch.device("cuda:0"), dtype=torch.float16)
    assert asked == [device_map]


def test_weights_are_loaded_in_the_dtype_of_the_setting(folder: Path) -> None:
    model = load_model(find(str(folder)), device=CPU, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not model.training


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(find(str(folder)), device=CPU, dtype=torch.float32)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(CheckpointError, match=f"^device {device}: must be"):
        pick_device(device)


def test_a_missing_device_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^device cuda:99: torch sees \d+ GPUs$"):
        pick_device("cuda:99")


def test_auto_is_float32_for_a_small_model_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})

    assert pick_dtype("auto", CPU, weight_bytes=SMALL_BYTES) is torch.float32
    assert pick_dtype("bfloat16", CPU, weight_bytes=SMALL_BYTES) is torch.bfloat16


@pytest.mark.parametrize(
    ("able", "dtype"),
    [
        ({}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_on_a_cpu_that_supports_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert pick_dtype("auto", CPU, weight_bytes=SMALL_BYTES + 1) is dtype


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^dtype int8: must be auto, float32"):
        pick_dtype("int8", CPU, weight_bytes=0)


def test_weights_of_torch_count_where_there_are_no_others(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    assert find(str(folder)).weight_bytes == (folder / "model.safetensors").stat().st_size

    (folder / "model.safetensors").unlink()

    assert find(str(folder)).weight_bytes == (folder / "pytorch_model.bin").stat().st_size


def test_a_half_written_file_is_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: the file is cut short"):
        find(str(folder))


def test_a_shard_that_is_missing_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: missing"):
        find(str(folder))
