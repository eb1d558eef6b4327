"""The OpenAI Agents SDK, over HTTP and over the socket."""

import json
from pathlib import Path

import pytest

from harness.service import Service
from tests.programs import run

Answers = dict[str, str]
TRANSPORTS = ("http", "socket")


@pytest.fixture(scope="module")
def by_transport(service: Service, client_python: Path) -> dict[str, Answers]:
    """Run the client once for all transports, since importing it takes long."""
    program = Path(__file__).parent / "programs" / "talk_agents.py"
    answers: dict[str, Answers] = json.loads(
        run(client_python, program, *TRANSPORTS, url=service.url)
    )
    return answers


@pytest.fixture(params=TRANSPORTS)
def answers(request: pytest.FixtureRequest, by_transport: dict[str, Answers]) -> Answers:
    return by_transport[request.param]


def test_an_agent_answers_whole_and_in_a_stream(answers: Answers) -> None:
    assert "Titanic" in answers["chat"]
    assert answers["stream"] == answers["stream_final"] == answers["chat"]


def test_an_agent_continues_with_the_servers_history_and_with_its_own(answers: Answers) -> None:
    assert "Cameron" in answers["continue"]
    assert answers["session"] == answers["continue"]


def test_an_agent_continues_a_conversation_that_the_server_keeps(answers: Answers) -> None:
    assert answers["kept_session"] == answers["conversation"] == answers["continue"]
    assert (answers["kept_items"], answers["kept_before"]) == ("4", "3")
    assert answers["kept_last"] == answers["kept_session"]


def test_an_agent_that_offers_tools_gets_a_text(answers: Answers) -> None:
    assert "Titanic" in answers["tools"]


def test_an_agent_that_must_call_a_tool_runs_it_and_ends_in_words(answers: Answers) -> None:
    assert answers["loop"].split() == [
        "tool_call_item",
        "tool_call_output_item",
        "message_output_item",
    ]


def test_an_agent_that_stopped_in_the_middle_can_ask_again(answers: Answers) -> None:
    assert answers["stop"]
    assert answers["after"]
