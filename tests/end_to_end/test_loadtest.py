"""`turnstream loadtest` on the real service."""

import json
from pathlib import Path

import pytest

from harness.service import Service
from turnstream.cli.main import main


def test_people_on_the_real_service_lose_nothing_and_a_report_is_written(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTREAM_URL", "")
    figures, report = tmp_path / "figures.json", tmp_path / "report.html"
    arguments = (
        "--people-per-minute 300 --seconds 1.5 --think-seconds 0 --answer-tokens 24 --seed 1"
    )
    wanted = "--reconnecting 1 --first-slice-seconds 60 --gap-seconds 60 --batch-lines 2"

    files = ["--json", str(figures), "--report", str(report)]
    code = main(["loadtest", "--url", service.url, *files, *f"{arguments} {wanted}".split()])

    assert code == 0
    [run] = json.loads(figures.read_text())["runs"]
    assert run["people"] > 2
    assert (run["damaged"], run["errors"]) == (0, {})
    assert run["answers"] >= run["people"]
    assert run["reconnected"] > 0
    assert f"<td>{run['people']}" in report.read_text()
    assert report.read_text().count("<svg") == 4
