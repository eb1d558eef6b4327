"""The check that people run on their own machines finds what is wrong, and says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config

from harness import tiny_family
from tests.workers.engines.test_lora import write
from tests.workers.engines.test_step_check import half_the_scale, unscaled_fp8
from tests.workers.plain_recorder import PlainRecorder, paged_attention
from turnstream.workers.engines import attention
from turnstream.workers.engines.check_answers import Expected, compare
from turnstream.workers.engines.check_report import Part, Report, Verdict
from turnstream.workers.engines.check_speed import bytes_of_a_step
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.paged_step import PagedAttention
from turnstream.workers.engines.quantised_linear import Quantise, quantise
from turnstream.workers.engines.self_check import check_attention, check_engine, check_recordings
from turnstream.workers.engines.slot_attention_check import SlotAttention
from turnstream.workers.engines.steps import PlainSteps, start_steps

CPU = torch.device("cpu")
SHAPE = LlamaConfig(num_attention_heads=2, num_key_value_heads=2, head_dim=16)


def check(model: Path, **settings: Any) -> Report:
    given = {"dtype": "auto", "tell": lambda _: None} | settings
    return check_engine(model=str(model), device="cpu", compile_cache=None, **given)


def test_a_right_engine_is_fit(tiny_llama_folder: Path) -> None:
    told: list[str] = []
    report = check(tiny_llama_folder, dtype="float32", tell=told.append)
    assert report.fit
    assert [part.verdict for part in report.parts] == [Verdict.OK, Verdict.OK]
    assert "32 of 32 tokens after a prompt of 224" in report.parts[1].found
    assert [speed.turns for speed in report.speeds] == [1, 16, 64]
    assert all(speed.tokens_per_second > 0 for speed in report.speeds)
    assert report.lines()[-1] == "this machine is fit"
    assert json.loads(json.dumps(report.to_json()))["model"]["model"] == "tiny"
    assert told[-1] == "measuring 64 turns together"


def test_a_model_with_a_sliding_window_is_checked_up_to_it(tmp_path: Path) -> None:
    folder = tiny_family.make(tmp_path, "mistral", sliding_window=128)
    report = check(folder, dtype="float32")
    assert report.fit
    assert "32 of 32 tokens after a prompt of 96" in report.parts[1].found


def test_an_adapter_with_rounded_weights_is_what_is_checked(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "poet", "/where/it/was/trained")
    report = check(adapter, lora_base=str(tiny_llama_folder), quantize=Quantise.INT8)
    assert report.fit
    told = report.model
    assert (told["model"], told["adapter"], told["rounded to"]) == ("poet", "poet", "int8")
    assert told["dtype"] == "bfloat16"


def test_the_bytes_of_rounded_layers_are_counted(tiny_llama_folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.bfloat16).eval()
    layers = sum(part.weight.nbytes for part in model.model.layers.modules() if is_linear(part))
    before = bytes_of_a_step(model)
    quantise(model, Quantise.INT8, CPU)
    # One byte for a weight instead of two, and scales.
    assert before - layers / 2 < bytes_of_a_step(model) < before - layers / 3


def is_linear(part: torch.nn.Module) -> bool:
    return type(part) is torch.nn.Linear


def test_a_family_whose_config_has_no_width_of_heads_is_checked() -> None:
    shape = Qwen2Config(hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
    part = check_attention(SlotAttention(None), shape, torch.float32, CPU)
    assert part.verdict is Verdict.OK, part.found


def test_the_attention_of_plain_slots_is_right(compiled_op: DecodeOp | None) -> None:
    for op in (None, compiled_op):
        part = check_attention(SlotAttention(op), SHAPE, torch.float32, CPU)
        assert part.verdict is Verdict.OK, part.found


@pytest.mark.parametrize("attend", [half_the_scale, unscaled_fp8])
def test_wrong_attention_is_told(attend: PagedAttention) -> None:
    part = check_attention(attend, SHAPE, torch.float32, CPU)
    assert part.verdict is Verdict.WRONG
    assert "2 heads, " in part.found


def test_attention_that_fails_is_told() -> None:
    def fails(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("no kernel image is available")

    part = check_attention(fails, SHAPE, torch.float32, CPU)
    assert part == Part(
        name="attention", verdict=Verdict.WRONG, found="it fails: no kernel image is available"
    )


def expected() -> Expected:
    """The answer 0, 1, 2; at its second place, the ids 1 and 3 are nearly as likely."""
    logits = torch.full((3, 50), -1.0)
    logits[[0, 1, 2], [0, 1, 2]] = 5.0
    logits[1, 3] = 4.99
    return Expected([7, 8], [0, 1, 2], logits)


@pytest.mark.parametrize(
    ("ids", "exact", "verdict"),
    [
        ([0, 1, 2], True, Verdict.OK),
        ([0, 3, 9], False, Verdict.OK),
        ([0, 3, 9], True, Verdict.WRONG),
        ([0, 4, 2], False, Verdict.WRONG),
        ([0, 1], False, Verdict.WRONG),
    ],
    ids=["equal", "rounding", "rounding in float32", "another token", "too short"],
)
def test_an_answer_may_differ_by_rounding_only(
    ids: list[int], exact: bool, verdict: Verdict
) -> None:
    assert compare([ids], [expected()], exact=exact).verdict is verdict


def test_recordings_that_are_left_out_are_told(tiny_llama_folder: Path) -> None:
    class FailsForTwo(PlainRecorder):
        def record(self, compute):  # type: ignore[no-untyped-def]
            if len(compute()) == 2:
                raise RuntimeError("not for two")
            return super().record(compute)

    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    attention.register(model)
    steps = start_steps(model, FailsForTwo(), slots=4, context=64, prompt_tokens=60)
    kept, left = check_recordings(steps)
    assert kept.found == "for steps of turns × tokens: 1 × 1, 4 × 4, 4 × 64"
    assert (left.verdict, left.found) == (Verdict.SLOW, "not for 2 × 2: not for two")

    plain = start_steps(model, None, slots=2, context=64, prompt_tokens=60)
    assert isinstance(plain, PlainSteps)
    [part] = check_recordings(plain)
    assert part.verdict is Verdict.SLOW


def test_a_slow_part_leaves_a_machine_fit_and_a_wrong_one_does_not() -> None:
    def report(verdict: Verdict) -> Report:
        parts = [Part(name="attention", verdict=verdict, found="")]
        return Report(machine={}, model={}, parts=parts, memory_bandwidth=1.0, speeds=[])

    assert report(Verdict.SLOW).fit
    assert not report(Verdict.WRONG).fit
    assert "NOT fit" in report(Verdict.WRONG).lines()[-1]


def test_the_reference_of_these_tests_is_right() -> None:
    part = check_attention(paged_attention, SHAPE, torch.float32, CPU)
    assert part.verdict is Verdict.OK
