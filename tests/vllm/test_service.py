"""The service with vLLM: an official SDK as client, and the death of vLLM's processes."""

import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from openai import OpenAI

from harness.service import Service
from tests.clients.conftest import aclient, client  # noqa: F401
from tests.clients.openai_turns import LONG
from tests.clients.test_openai_socket import (  # noqa: F401
    test_a_sync_socket_carries_a_conversation,
    test_an_async_socket_cancels_a_turn_and_continues_from_its_text,
)

#: vLLM takes its time to start, and starts again in some tests.
ANSWER_SECONDS = 240.0

pytestmark = pytest.mark.filterwarnings(
    "ignore:connect\\(\\) must be used:DeprecationWarning",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service"), "--engine", "vllm") as running:
        yield running


def of_vllm(service: Service) -> list[psutil.Process]:
    """Return vLLM's processes, its core first."""
    found = [process for process in service.family() if process.name().startswith("VLLM")]
    return sorted(found, key=lambda process: process.name())


def test_a_second_turn_computes_only_its_new_tokens(client: OpenAI) -> None:  # noqa: F811
    first = client.responses.create(model="demo", input="Tell me of the sea. " * 10)
    second = client.responses.create(model="demo", input="Go on.", previous_response_id=first.id)

    assert first.usage
    assert second.usage
    # The system prompt may be cached from another conversation, the rest is not.
    assert first.usage.input_tokens_details.cached_tokens < first.usage.input_tokens - 32
    cached = second.usage.input_tokens_details.cached_tokens
    assert first.usage.input_tokens - 32 < cached <= first.usage.total_tokens


def test_when_vllm_dies_the_answer_continues_from_its_log(
    service: Service,
    client: OpenAI,  # noqa: F811
) -> None:
    asked: dict[str, Any] = {"model": "demo", **LONG, "timeout": ANSWER_SECONDS}
    # A negative penalty, which makes it long elsewhere, would count anew from there.
    asked |= {"extra_body": {"ignore_eos": True}, "max_output_tokens": 600}
    whole = client.responses.create(**asked).output_text
    killed = threading.Event()
    pieces: list[str] = []
    for event in client.responses.create(stream=True, **asked):
        if event.type == "response.output_text.delta":
            pieces.append(event.delta)
            if not killed.is_set():
                of_vllm(service)[0].kill()
                killed.set()
        last: Any = event

    assert last.type == "response.incomplete"
    assert last.response.output_text == "".join(pieces)
    assert whole.startswith(pieces[0])
    # In float32 and with greedy decoding the answer is the same.
    assert "".join(pieces) == whole


def test_no_vllm_process_outlives_a_killed_worker(service: Service) -> None:
    left = of_vllm(service)
    assert len(left) == 2
    worker = left[0].parent()
    assert worker
    worker.kill()

    assert psutil.wait_procs(left, timeout=20)[1] == []
    assert service.ask("Hello")["status"] in ("completed", "incomplete")
