"""LangChain's ChatOpenAI, by chat completions and by responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service
from tests.programs import run

Answers = dict[str, Any]
PROTOCOLS = ("chat", "responses")


@pytest.fixture(scope="module")
def by_protocol(service: Service, client_python: Path) -> dict[str, Answers]:
    """Run the client once for both protocols, since importing it takes long."""
    program = Path(__file__).parent / "programs" / "talk_langchain.py"
    answers: dict[str, Answers] = json.loads(
        run(client_python, program, *PROTOCOLS, url=service.url)
    )
    return answers


@pytest.fixture(params=PROTOCOLS)
def answers(request: pytest.FixtureRequest, by_protocol: dict[str, Answers]) -> Answers:
    return by_protocol[request.param]


def test_a_chain_answers_whole_and_in_a_stream(answers: Answers) -> None:
    assert "Titanic" in answers["chat"]
    assert answers["stream"] == answers["chat"]
    assert answers["pieces"] > 1


def test_a_chain_gets_its_token_usage(answers: Answers) -> None:
    assert answers["tokens"] > 0


def test_a_chain_may_have_a_system_text(answers: Answers) -> None:
    assert answers["system"]


def test_a_chain_continues_with_all_messages_or_the_last_response_id(answers: Answers) -> None:
    assert "Cameron" in answers["continue"]
    assert answers.get("continue_by_id", answers["continue"]) == answers["continue"]


def test_a_chain_that_offers_tools_gets_a_text(answers: Answers) -> None:
    assert "Titanic" in answers["tools"]


def test_a_chain_may_come_from_another_model_that_called_tools(answers: Answers) -> None:
    assert answers["output"]
    assert "1997" in answers["elsewhere"]


def test_raw_prompts_are_continued_whole_and_in_a_stream(answers: Answers) -> None:
    assert len(answers["raw"]) == 2
    assert answers["raw_stream"] == answers["raw"][0] != ""


def test_a_chain_that_disconnected_can_ask_again(answers: Answers) -> None:
    assert answers["stop"]
    assert answers["after"]
