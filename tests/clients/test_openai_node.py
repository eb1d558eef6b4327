"""The official Node SDK, over HTTP and over the socket."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service
from tests.programs import link_modules, run

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(service: Service, node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Let a program talk, once, and give what came of it."""
    folder = tmp_path_factory.mktemp("node")
    link_modules(folder, node_modules)
    program = shutil.copy(Path(__file__).parent / "programs" / "talk_openai.mjs", folder)
    said: Said = json.loads(run("node", program, url=service.url))
    return said


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
