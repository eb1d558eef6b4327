"""The OpenAI Agents SDK, over HTTP and over the socket."""

import json
from pathlib import Path

import pytest

from harness.service import Service
from tests.programs import run

Said = dict[str, str]


@pytest.fixture(scope="module", params=["http", "socket"])
def said(request: pytest.FixtureRequest, service: Service, client_python: Path) -> Said:
    """Let a program talk by that transport, once, and give what came of it."""
    program = Path(__file__).parent / "programs" / "talk_agents.py"
    said: Said = json.loads(run(client_python, program, request.param, url=service.url))
    return said


def test_an_agent_answers_whole_and_in_a_stream(said: Said) -> None:
    assert "Titanic" in said["chat"]
    assert said["stream"] == said["stream_final"] == said["chat"]


def test_an_agent_continues_with_the_servers_history_and_with_its_own(said: Said) -> None:
    assert "Cameron" in said["continue"]
    assert said["session"] == said["continue"]


def test_an_agent_continues_a_conversation_that_the_server_keeps(said: Said) -> None:
    assert said["kept_session"] == said["conversation"] == said["continue"]
    assert (said["kept_items"], said["kept_before"]) == ("4", "3")
    assert said["kept_last"] == said["kept_session"]


def test_an_agent_that_offers_tools_gets_a_text(said: Said) -> None:
    assert "Titanic" in said["tools"]


def test_an_agent_that_stopped_in_the_middle_can_ask_again(said: Said) -> None:
    assert said["stop"]
    assert said["after"]
