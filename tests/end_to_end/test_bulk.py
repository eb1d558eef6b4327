"""`turnstream bulk` at a shell: files in, files out, and continued after Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.service import ROOT, Service

PATIENCE_SECONDS = 120.0
OK, BAD, SOME_FAILED, INTERRUPTED = 0, 2, 4, 130


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command is run."""
    return tmp_path


def line(number: int, **body: Any) -> dict[str, Any]:
    asked = {"input": f"Hello {number}", "max_output_tokens": 4, **body}
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/responses", "body": asked}


def write(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def start(url: str, folder: Path, *options: str) -> "subprocess.Popen[str]":
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "turnstream", "bulk", "in.jsonl", "-o", "out.jsonl", *options],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**environ, "TURNSTREAM_URL": url, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said


def test_results_come_in_the_order_of_their_requests(service: Service, folder: Path) -> None:
    write(folder, [line(n, max_output_tokens=1 + 7 * n % 20) for n in range(30)])

    code, said = ended(start(service.url, folder, "--ordered"))

    assert code == OK, said
    assert [result["custom_id"] for result in read(folder)] == [f"c{n}" for n in range(30)]
    assert "completed: 30 of 30 answered, 0 failed: out.jsonl" in said
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_restarted_command_continues_the_same_batch(service: Service, folder: Path) -> None:
    write(folder, [line(n, max_output_tokens=400, temperature=2) for n in range(60)])
    first = start(service.url, folder)
    state, deadline = folder / "out.jsonl.batch", time.monotonic() + PATIENCE_SECONDS
    while not (state.exists() and json.loads(state.read_text())["batch_id"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    code, said = ended(first)
    assert (code, "again to continue" in said) == (INTERRUPTED, True), said
    batch = json.loads(state.read_text())["batch_id"]

    other = ended(start(service.url, folder, "--window", "2h"))
    code, said = ended(start(service.url, folder))

    assert other[0] == BAD
    assert "another window" in other[1]
    assert code == OK, said
    assert {result["custom_id"] for result in read(folder)} == {f"c{n}" for n in range(60)}
    assert len(read(folder)) == 60
    assert service.get(f"/v1/batches/{batch}")["request_counts"]["completed"] == 60
    assert not state.exists()


def test_a_failed_line_is_in_the_output_and_sets_the_exit_code(
    service: Service, folder: Path
) -> None:
    write(folder, [line(1), line(2, input="many words " * 9_000)])

    code, said = ended(start(service.url, folder, "--ordered"))

    assert code == SOME_FAILED, said
    assert [r["response"]["status_code"] for r in read(folder)] == [200, 400]


def test_a_bad_file_is_reported_line_by_line(service: Service, folder: Path) -> None:
    (folder / "in.jsonl").write_text(json.dumps(line(1)) + "\nnonsense\n" + json.dumps(line(1)))

    code, said = ended(start(service.url, folder))

    assert code == BAD
    assert "in.jsonl:2: This is not JSON" in said
    assert "in.jsonl:3: This 'custom_id' was used by an earlier line." in said
    assert not (folder / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("url", "options", "code", "text"),
    [
        ("http://127.0.0.1:1", (), 1, "cannot connect to http://127.0.0.1:1"),
        ("", ("--window", "soon"), BAD, "completion_window"),
        ("", ("-o", "in.jsonl"), BAD, "in.jsonl already exists"),
        ("", ("-o", "nowhere/out.jsonl"), BAD, "nowhere/out.jsonl"),
    ],
)
def test_an_error_is_one_line_of_text(
    service: Service, folder: Path, url: str, options: tuple[str, ...], code: int, text: str
) -> None:
    write(folder, [line(1)])

    exit_code, said = ended(start(url or service.url, folder, *options))

    assert exit_code == code
    assert text in said
    assert said.count("\n") == 1


@pytest.mark.long
def test_a_private_service_is_started_stopped_and_continued(folder: Path) -> None:
    write(folder, [line(n, max_output_tokens=400, temperature=2) for n in range(100)])
    first = start("http://127.0.0.1:1", folder, "--local")
    state, deadline = folder / "out.jsonl.batch", time.monotonic() + PATIENCE_SECONDS
    while not (state.exists() and json.loads(state.read_text())["batch_id"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    assert ended(first)[0] == INTERRUPTED
    assert (folder / "out.jsonl.data").exists()

    code, said = ended(start("http://127.0.0.1:1", folder, "--local"))

    assert code == OK, said
    assert sorted(result["custom_id"] for result in read(folder)) == sorted(
        f"c{n}" for n in range(100)
    )
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "out.jsonl"]
