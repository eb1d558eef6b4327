"""The commands of an operator, over a running service that they find through its data directory."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from harness.service import ROOT, Service

SECONDS = 60


def turnstream(service: Service | None, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")}
    data_dir = ("--data-dir", str(service.data_dir)) if service else ()
    return subprocess.run(
        [sys.executable, "-m", "turnstream", *arguments, *data_dir],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        cwd=ROOT,
        env=environ | {"COLUMNS": "200"},
    )


def lines(service: Service, *arguments: str) -> list[Any]:
    ended = turnstream(service, *arguments, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_status_has_models_workers_and_nodes(service: Service) -> None:
    [status] = lines(service, "status")

    [model] = status["overview"]["models"]
    assert (model["name"], model["workers"], model["slots"]) == ("demo", 1, 8)
    [worker] = status["workers"]
    assert (worker["model"], worker["state"], worker["slots"]) == ("demo", "live", 8)
    assert len(status["nodes"]) == 1

    shown = turnstream(service, "status")

    assert shown.returncode == 0
    for word in ("models", "demo", worker["name"], status["nodes"][0]):
        assert word in shown.stdout


def test_turns_are_listed_and_shown_without_what_was_said(service: Service) -> None:
    id = service.ask("How old is the Moon?")["id"]

    rows = lines(service, "turns", "list", "--state", "all", "--limit", "100000")
    [row] = [row for row in rows if row["id"] == id]
    assert (row["owner"], row["model"], row["tier"]) == ("local", "demo", "default")
    [shown] = lines(service, "turns", "show", id)
    assert shown["status"] in ("completed", "incomplete")
    assert "Moon" not in json.dumps(shown)
    assert id in turnstream(service, "turns", "show", id).stdout

    refused = turnstream(service, "turns", "cancel", id)

    assert refused.returncode == 1
    assert refused.stderr == f"turnstream turns: Response '{id}' has ended already.\n"


def test_a_drained_worker_answers_nobody_until_it_is_resumed(service: Service) -> None:
    [worker] = lines(service, "workers", "list")
    [drained] = lines(service, "workers", "drain", worker["name"], "--wait", "20")
    assert drained["state"] == "draining"
    try:
        body = b'{"input": "Hi", "background": true, "max_output_tokens": 2}'
        id = service.post("/v1/responses", body)["id"]
        [row] = lines(service, "turns", "list")
        assert (row["id"], row["status"]) == (id, "queued")
    finally:
        [resumed] = lines(service, "workers", "resume", worker["name"])
    assert resumed["state"] == "live"

    deadline = time.monotonic() + SECONDS
    while service.get(f"/v1/responses/{id}")["status"] not in ("completed", "incomplete"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("command", [("status",), ("turns", "list"), ("workers", "list")])
def test_without_a_service_the_error_is_one_line(
    command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("nothing")

    ended = turnstream(None, *command, "--data-dir", str(folder))

    assert ended.returncode == 2
    assert "TURNSTREAM_REDIS_URL" in ended.stderr
    assert ended.stderr.count("\n") == 1
