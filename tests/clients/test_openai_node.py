"""The official Node SDK, over HTTP and over the socket."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service
from tests.programs import link_modules, run

Said = dict[str, Any]


def talk(program: str, folder: Path, node_modules: Path, url: str) -> Said:
    """Let a program talk and return what came of it."""
    link_modules(folder, node_modules)
    copy = shutil.copy(Path(__file__).parent / "programs" / program, folder)
    said: Said = json.loads(run("node", copy, url=url))
    return said


@pytest.fixture(scope="module")
def said(service: Service, node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    return talk("talk_openai.mjs", tmp_path_factory.mktemp("node"), node_modules, service.url)


def test_a_response_comes_whole_and_in_a_stream(said: Said) -> None:
    assert "Titanic" in said["chat"]
    assert said["stream"] == said["stream_final"] == said["chat"]


def test_a_conversation_continues(said: Said) -> None:
    assert "Cameron" in said["continue"]
    assert said["socket"] == said["chat"]
    assert said["socket_continue"] == said["continue"]


def test_an_abandoned_stream_is_resumed_to_its_end_without_a_gap(said: Said) -> None:
    assert said["resumed"] == said["resumed_whole"] != ""


def test_a_background_turn_is_cancelled(said: Said) -> None:
    assert (said["background"], said["cancelled"]) == ("queued", "cancelled")


def test_a_completion_comes_whole_and_in_a_stream(said: Said) -> None:
    assert said["completion"] == said["chat"]
    assert said["chunks"] == said["chunks_final"] == said["completion"]
    assert said["chunks_tokens"] > 0


def test_a_completion_has_several_answers_and_its_record_what_it_said(said: Said) -> None:
    assert said["choices"] == [[0, said["completion"]], [1, said["completion"]]]
    assert said["returned"] == "ann"
    assert said["refused"] == [400, "max_tokens"]


def test_a_conversation_with_an_id_continues_and_lists_its_items(said: Said) -> None:
    assert said["kept"] == said["continue"]
    assert said["kept_items"][1] == said["chat"]
    assert said["kept_items"][3:] == [said["kept"]]
    assert said["kept_deleted"]


def test_a_text_completion_comes_whole_and_in_a_stream(said: Said) -> None:
    assert said["raw"] == said["raw_pieces"] != ""


def test_a_turn_on_the_socket_is_cancelled_and_keeps_its_text(said: Said) -> None:
    assert said["stop_status"] == "cancelled"
    assert said["stop"] == said["stop_kept"] != ""
    assert said["after"]


def test_lanes_of_a_managed_session_hold_conversations_and_outlive_the_connection(
    service: Service, node_modules: Path, tmp_path: Path
) -> None:
    said = talk("talk_openai_session.mjs", tmp_path, node_modules, service.url)

    [first, *others] = said["conversations"]
    assert "Titanic" in first[0]
    assert "Cameron" in first[1]
    assert others == 5 * [first]
    assert (said["refused"], said["after"]) == ("model_not_found", first[0])
    assert said["lost"].endswith("Error")
    assert said["resumed"] == said["whole"]
    assert all(said["whole"])
