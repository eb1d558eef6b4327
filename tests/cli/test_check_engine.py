"""The commands `check-gpu` and `check-engine`: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest

from turnstream.cli.console import BAD_SETTING, CANNOT_LOAD, NOT_FIT
from turnstream.cli.main import main
from turnstream.workers.engines import self_check
from turnstream.workers.engines.check_report import Part, Report, Speed, Verdict


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Play the check itself; it finds what the model's name says."""
    asked: list[dict[str, object]] = []

    def check(**given: object) -> Report:
        asked.append(given)
        part = Part(name="attention", verdict=Verdict(str(given["model"])), found="off by 0.1")
        speed = Speed(turns=16, tokens_per_second=1234.5, memory_limit=2469.0)
        return Report(
            machine={"torch": "2.13"}, model={}, parts=[part], memory_bandwidth=2e12, speeds=[speed]
        )

    monkeypatch.setattr(self_check, "check_engine", check)
    for name, value in {
        "MODEL": "ok",
        "DEVICE": "auto",
        "DTYPE": "auto",
        "QUANTIZE": "none",
    }.items():
        # `main` sets them.
        monkeypatch.setenv(f"TURNSTREAM_{name}", value)
    monkeypatch.setenv("TURNSTREAM_LORA_BASE", "")
    return asked


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("slow", 0), ("wrong", NOT_FIT)])
def test_the_exit_code_says_whether_the_machine_is_fit(
    found: list[dict[str, object]], tmp_path: Path, verdict: str, code: int
) -> None:
    report = tmp_path / "report.json"
    assert main(["check-engine", "--model", verdict, "--json", str(report)]) == code
    assert json.loads(report.read_text())["fit"] is (code == 0)


def test_the_report_is_in_words(
    found: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check-engine", "--model", "ok"])
    out = capsys.readouterr().out
    assert "ok     attention: off by 0.1\n" in out
    assert "memory is read at 2000.0 GB/s" in out
    assert "  16 turns together: 1,234 tokens/s, 0.50 of what memory allows" in out


@pytest.mark.parametrize(("command", "device"), [("check-gpu", "cuda"), ("check-engine", "cpu")])
def test_each_command_has_its_own_device(
    found: list[dict[str, object]], command: str, device: str
) -> None:
    main([command, "--model", "ok"])
    assert found[0]["device"] == device
    main([command, "--model", "ok", "--device", "cuda:1"])
    assert found[1]["device"] == "cuda:1"


def test_rounding_and_an_adapters_base_reach_the_check(found: list[dict[str, object]]) -> None:
    main(["check-engine", "--model", "ok", "--quantize", "int8", "--lora-base", "/base"])
    assert (found[0]["quantize"], found[0]["lora_base"]) == ("int8", "/base")


@pytest.mark.parametrize(
    "arguments",
    [["check-gpu", "--device", "cpu"], ["check-engine", "--dtype", "int3"]],
)
def test_a_bad_option_is_an_error_in_one_line(
    found: list[dict[str, object]], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == BAD_SETTING
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not found


def test_check_gpu_without_such_a_gpu_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MODEL", "DEVICE"):
        monkeypatch.setenv(f"TURNSTREAM_{name}", "auto")
    assert main(["check-gpu", "--model", "demo", "--device", "cuda:98"]) == CANNOT_LOAD
    assert "device cuda:98: torch sees " in capsys.readouterr().err
