"""The Vercel AI SDK, by chat completions and by responses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service
from tests.programs import link_modules, run

Said = dict[str, Any]


@pytest.fixture(scope="module", params=["chat", "responses"])
def said(
    request: pytest.FixtureRequest,
    service: Service,
    node_modules: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Said:
    """Let a program talk by that protocol, once, and give what came of it."""
    folder = tmp_path_factory.mktemp("node")
    link_modules(folder, node_modules)
    program = shutil.copy(Path(__file__).parent / "programs" / "talk_vercel.mjs", folder)
    said: Said = json.loads(run("node", program, request.param, url=service.url))
    return said


def test_text_is_generated_whole_and_in_a_stream(said: Said) -> None:
    assert "Titanic" in said["chat"]
    assert said["finish"] == "stop"
    assert said["tokens"] > 0
    assert said["stream"] == said["chat"]
    assert said["pieces"] > 1


def test_a_conversation_continues_with_its_messages_or_the_last_response_id(said: Said) -> None:
    assert "Cameron" in said["continue"]
    assert said["continue_unstored"] == said["continue"]
    assert "Cameron" in said.get("continue_by_id", "Cameron")


def test_a_stream_that_was_aborted_can_be_followed_by_another(said: Said) -> None:
    assert said["stop"]
    assert said["stopped"]
    assert said["after"]
