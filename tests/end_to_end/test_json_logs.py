"""Logs as JSON of a whole service."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service

SECONDS = 30.0


@pytest.mark.long
def test_a_turn_can_be_found_by_its_request_in_lines_that_are_all_json(tmp_path: Path) -> None:
    with Service(tmp_path, environ={"TURNSTREAM_LOG": "json"}) as service:
        body = json.dumps({"input": "How old is the Moon?", "max_output_tokens": 4}).encode()
        headers = {"content-type": "application/json", "x-request-id": "req-of-mine"}
        request = urllib.request.Request(f"{service.url}/v1/responses", body, headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            id = json.load(answer)["id"]
        deadline = time.monotonic() + SECONDS
        while len(found := about(service, id)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    for entry in found:
        assert entry["process"] == entry["worker"].replace("w", "worker-")
        assert (entry["attempt"], entry["model"]) == (1, "demo")
        assert entry["request_id"] == "req-of-mine"
        assert entry["node"].endswith(service.url.rpartition(":")[2])
    assert found[0]["message"] == f"{id} attempt 1: claimed"
    assert "Moon" not in service.file("stderr").read_text()


def about(service: Service, id: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in service.file("stderr").read_text().splitlines()]
    assert all("time" in entry and "process" in entry for entry in entries)
    return [entry for entry in entries if entry.get("turn_id") == id]
