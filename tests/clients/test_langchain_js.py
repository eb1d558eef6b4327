"""LangChain.js, by chat completions, by responses and with raw prompts."""

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
    program = shutil.copy(Path(__file__).parent / "programs" / "talk_langchain.mjs", folder)
    said: Said = json.loads(run("node", program, url=service.url))
    return said


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_a_chain_answers_whole_in_a_stream_and_goes_on(said: Said, protocol: str) -> None:
    answers = said[protocol]

    assert "Titanic" in answers["chat"]
    assert answers["stream"] == answers["chat"]
    assert answers["tokens"] > 0
    assert "Cameron" in answers["continue"]


@pytest.mark.parametrize(("protocol", "field"), [("chat", "messages"), ("responses", "input")])
def test_a_chain_gets_the_status_of_a_request_that_is_too_long_in_a_stream_too(
    said: Said, protocol: str, field: str
) -> None:
    assert said[protocol]["overflow"] == [400, "context_length_exceeded", field]


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_a_chain_may_begin_with_a_greeting_and_have_called_tools(said: Said, protocol: str) -> None:
    assert said[protocol]["elsewhere"]


def test_a_chain_gets_several_answers_with_their_log_probabilities(said: Said) -> None:
    assert said["several"] == 2 * [said["chat"]["chat"]]
    assert said["logprobs"] == said["chat"]["chat"]


def test_raw_prompts_are_continued_whole_and_in_a_stream(said: Said) -> None:
    assert said["raw"] == said["raw_stream"] != ""
