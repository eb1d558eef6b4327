"""clients/js in Node: what it says, and that its turns survive the network."""

import asyncio
import hashlib
import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.proxy import Proxy
from harness.service import ROOT, Service
from tests.effort import examples
from tests.programs import run

Said = dict[str, Any]
PACKAGE = ROOT / "clients" / "js"
PROGRAMS = Path(__file__).parent / "programs"
SURVIVE_SECONDS = 240.0


@pytest.fixture(scope="module")
def folder(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder where Node finds turnstream.js and `ws`."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "ws").symlink_to(node_modules / "ws", target_is_directory=True)
    (folder / "node_modules" / "turnstream").symlink_to(PACKAGE, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def said(service: Service, folder: Path) -> Said:
    """Let a program talk, once, and give what came of it."""
    program = shutil.copy(PROGRAMS / "talk_turnstream.mjs", folder)
    said: Said = json.loads(run("node", program, service.url))
    return said


def test_slices_and_events_come_once_each_however_often_they_are_read(said: Said) -> None:
    assert "Titanic" in said["chat"]
    assert said["again"] == said["stored"] == said["chat"]
    assert said["events"] == list(range(len(said["events"])))


def test_a_conversation_continues(said: Said) -> None:
    assert "Cameron" in said["continue"]


def test_another_client_resumes_a_response_by_its_id_from_any_event(said: Said) -> None:
    assert said["resumed"] == said["begun"] + said["rest"] == said["chat"]
    assert said["begun"] != said["chat"]
    assert said["nothing"] == ""
    assert said["unknown"] == "response_not_found"


def test_a_turn_is_stopped_by_any_client_and_keeps_its_text(said: Said) -> None:
    assert said["cancelled"] == ["cancelled", "cancelled", "cancelled"]
    assert said["kept"][0] == said["kept"][1] != ""


def test_a_refusal_names_its_code_and_field(said: Said) -> None:
    assert said["refused"] == ["invalid_value", "input"]
    assert said["large"] == 2 * [["request_too_large", 413]]


def test_a_lane_runs_one_turn_after_the_other_and_other_turns_at_once(said: Said) -> None:
    assert said["order"] == [[0, True], [1, True], [2, True]]
    assert said["many"] == 20


def test_an_idempotency_key_makes_one_turn_of_two_clients(said: Said) -> None:
    assert said["twice"]


def test_a_closed_client_ends_its_turns_with_a_code(said: Said) -> None:
    assert said["left"] == 0
    assert said["closed"] == ["closed", "closed"]


async def test_turns_survive_cuts_lost_replies_and_a_time_without_a_network(
    service: Service, folder: Path
) -> None:
    program = shutil.copy(PROGRAMS / "survive_turnstream.mjs", folder)
    said = await survive(service, program, str(examples(60, 1500)))

    texts, stored = said["cut"]
    assert texts == stored
    assert all(texts)
    assert said["steered"] == [["accepted", "accepted"], "steered"]
    assert said["follows"]
    assert said["added"] == ["Who directed Titanic?", "And when?"]
    assert said["given"][0] == said["given"][1] != ""
    assert said["lost"][0] == said["lost"][1] != ""
    assert said["once"]
    assert said["waiting"] == ["waiting", "waiting"]
    assert said["restored"] == [["first", "incomplete"], ["second", "incomplete"]]
    assert said["outbox"] == 0


async def test_followers_of_a_conversation_see_the_same_through_cuts_and_its_deletion(
    service: Service, folder: Path
) -> None:
    program = shutil.copy(PROGRAMS / "follow_turnstream.mjs", folder)
    said = await survive(service, program, service.url)

    assert all(said["texts"])
    # It was opened, had four turns, and was deleted.
    assert said["seen"] == 2 * [[list(range(10)), said["texts"], True, None]]
    assert said["codes"] == ["conversation_not_found", "stream_expired"]
    assert said["first"] == "turnstream:conversation.opened"


@pytest.mark.long
async def test_answers_outlive_a_killed_front_end_and_a_network_that_says_nothing(
    folder: Path, tmp_path: Path
) -> None:
    faults = ("go silent", "kill", "terminate")
    with Service(tmp_path / "service") as service:
        program = shutil.copy(PROGRAMS / "outlive_turnstream.mjs", folder)
        said = await survive(service, program, *faults)

    for fault in faults:
        assert said[fault][0] == said[fault][1] != ""


@pytest.mark.long
def test_a_client_token_is_renewed_on_the_open_socket_and_a_wrong_key_ends_in_words(
    folder: Path, tmp_path: Path
) -> None:
    keys = {"TURNSTREAM_API_KEYS": f"ann:{hashlib.sha256(b'right').hexdigest()}"}
    program = shutil.copy(PROGRAMS / "keys_turnstream.mjs", folder)
    with Service(tmp_path / "service", environ=keys) as service:
        said = json.loads(run("node", program, service.url, "right"))

    assert said["refused"] == "invalid_api_key"
    assert said["state"] == ["closed", "invalid_api_key"]
    assert said["asked"] == [None, "invalid_api_key", "token_expired"]
    assert said["opened"] == said["renewed"] == 2


async def survive(service: Service, program: str, *arguments: str) -> Said:
    """Run a program and break its connection as it asks; return the last line that it prints."""
    port = int(service.url.rpartition(":")[2])
    async with asyncio.timeout(SURVIVE_SECONDS), Proxy(port) as proxy:
        node = await asyncio.create_subprocess_exec(
            *("node", program, f"http://127.0.0.1:{proxy.port}", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert node.stdin is not None
        assert node.stdout is not None
        cuts = asyncio.create_task(cut_at_random(proxy, cutting := asyncio.Event()))
        while line := (await node.stdout.readline()).decode().strip():
            match line:
                case "cut at random":
                    cutting.set()
                case "stop":
                    cutting.clear()
                case "lose a reply":
                    proxy.lost_replies = 1
                case "refuse":
                    proxy.refusing = True
                    proxy.cut()
                case "accept":
                    proxy.refusing = False
                case "go silent":
                    proxy.go_silent()
                case "kill":
                    service.child("serve").send_signal(signal.SIGKILL)
                case "terminate":
                    service.child("serve").send_signal(signal.SIGTERM)
                case _:
                    break
            node.stdin.write(b"\n")
        cuts.cancel()
        await node.wait()
    said: Said = json.loads(line)
    return said


async def cut_at_random(proxy: Proxy, cutting: asyncio.Event) -> None:
    while True:
        await cutting.wait()
        await asyncio.sleep(random.uniform(0.02, 0.6))
        if cutting.is_set():
            proxy.cut()
