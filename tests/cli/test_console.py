"""The lines that `turnstream up` prints of its processes."""

import json

import pytest

from turnstream.cli.console import log


def printed(capsys: pytest.CaptureFixture[str], name: str, line: str) -> str:
    log(name, line)
    return capsys.readouterr().err


def test_as_text_a_line_has_the_name_of_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "redis", "ready") == "redis      | ready\n"


@pytest.mark.parametrize("line", ["ready", '"ready"', "[1]", '{"time": ', '{"no": "time"}'])
def test_as_json_what_is_no_entry_becomes_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("TURNSTREAM_LOG", "json")

    entry = json.loads(printed(capsys, "redis", line))

    assert (entry["process"], entry["message"]) == ("redis", line)
    assert entry["time"].endswith("Z")


def test_as_json_an_entry_of_a_process_gets_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTREAM_LOG", "json")
    entry = {"time": "2026-01-01T00:00:00.000Z", "message": "claimed", "turn_id": "resp_1"}

    shown = printed(capsys, "worker-0", json.dumps(entry | {"process": "redis"}))

    assert json.loads(shown) == entry | {"process": "worker-0"}
