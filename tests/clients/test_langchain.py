"""LangChain's ChatOpenAI, by chat completions and by responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.service import Service
from tests.programs import run

Said = dict[str, Any]


@pytest.fixture(scope="module", params=["chat", "responses"])
def said(request: pytest.FixtureRequest, service: Service, client_python: Path) -> Said:
    """Let a program talk by that protocol, once, and give what came of it."""
    program = Path(__file__).parent / "programs" / "talk_langchain.py"
    said: Said = json.loads(run(client_python, program, request.param, url=service.url))
    return said


def test_a_chain_answers_whole_and_in_a_stream(said: Said) -> None:
    assert "Titanic" in said["chat"]
    assert said["stream"] == said["chat"]
    assert said["pieces"] > 1


def test_a_chain_gets_its_token_usage(said: Said) -> None:
    assert said["tokens"] > 0


def test_a_chain_may_have_a_system_text(said: Said) -> None:
    assert said["system"]


def test_a_chain_continues_with_all_messages_or_the_last_response_id(said: Said) -> None:
    assert "Cameron" in said["continue"]
    assert said.get("continue_by_id", said["continue"]) == said["continue"]


def test_a_chain_that_offers_tools_gets_a_text(said: Said) -> None:
    assert "Titanic" in said["tools"]


def test_a_chain_may_come_from_another_model_that_called_tools(said: Said) -> None:
    assert said["output"]
    assert "1997" in said["elsewhere"]


def test_a_chain_that_disconnected_can_ask_again(said: Said) -> None:
    assert said["stop"]
    assert said["after"]
