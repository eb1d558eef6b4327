"""`turnstream plan`: its figures are those of known models, and of what an engine really takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from turnstream.cli.main import main

GIB = 2**30
#: Llama-2-7b, as its config has it.
LLAMA_2_7B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
#: Large enough that what Python itself takes does not matter.
SMALL: dict[str, Any] = LLAMA_2_7B | {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_attention_heads": 16,
    "num_hidden_layers": 3,
    "num_key_value_heads": 8,
    "vocab_size": 512,
    "max_position_embeddings": 512,
}

#: Prints the bytes by which this process alone grows when it starts an engine.
MEASURE = """
import ctypes, gc, sys
from pathlib import Path
import psutil, torch
from transformers import AutoConfig, AutoModelForCausalLM
from harness import tiny_llama
from turnstream.workers.engines.load import load_engine

folder = Path(sys.argv[1])
settings = (folder / "config.json").read_text()
tiny_llama.make(folder)
(folder / "config.json").write_text(settings)
AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)

def taken():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_full_info().uss

before = taken()
model = load_engine(model=str(folder), device="cpu", dtype=sys.argv[2], slots=2, context=None,
                    after_step=lambda: None)
print(taken() - before)
model.engine.stop(0)
"""


def plan(
    capsys: pytest.CaptureFixture[str], folder: Path, settings: dict[str, Any], *options: str
) -> dict[str, Any]:
    (folder / "config.json").write_text(json.dumps(settings))
    assert main(["plan", "--json", "--model", str(folder), *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_llama_2_7b_is_what_it_is_known_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan(capsys, tmp_path, LLAMA_2_7B, "--gpu", "A100-40", "--readers", "100")

    assert found["parameters"] == 6_738_415_616
    assert found["weight_bytes"] == 2 * found["parameters"]
    assert found["token_bytes"] == 2 * 32 * 4096 * 2
    assert found["context"] == 4096
    # One turn reads all weights for each token, at 1,555 GB/s.
    assert found["speed_at"]["1"] == pytest.approx(111, rel=0.01)
    assert found["workers"] == -(-100 // found["readers_per_worker"])


def test_weights_of_4_bits_are_a_third_and_leave_room_for_more_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = plan(capsys, tmp_path, LLAMA_2_7B, "--gpu", "L4")
    rounded = plan(capsys, tmp_path, LLAMA_2_7B, "--gpu", "L4", "--quantize", "int4")
    packed = plan(
        capsys,
        tmp_path,
        LLAMA_2_7B
        | {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}},
        "--gpu",
        "L4",
    )

    assert 0.3 < rounded["weight_bytes"] / whole["weight_bytes"] < 0.37
    assert 0.27 < packed["weight_bytes"] / whole["weight_bytes"] < 0.31
    assert rounded["slots"] > whole["slots"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--memory", "8GiB"), "25.1 GiB of weights do not fit 8.0 GiB"),
        (("--memory", "40GiB", "--context", "8192"), "the model supports 4096 tokens"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    problem: str,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_2_7B))

    assert main(["plan", "--model", str(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"model_type": "no-such"}'])
def test_a_config_that_is_none_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "config.json").write_text(text)

    assert main(["plan", "--model", str(tmp_path / "config.json"), "--memory", "8GiB"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_engine_takes_what_was_planned_within_5_percent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: str
) -> None:
    found = plan(capsys, tmp_path, SMALL, "--memory", "8GiB", "--dtype", dtype)
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(tmp_path), dtype]
    measured = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)

    taken = int(measured.stdout.split()[-1])
    assert taken == pytest.approx(found["weight_bytes"], rel=0.05)
