"""The service with two of vLLM's servers, one of which is killed in the middle of an answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from harness.service import Service
from harness.vllm_server import VllmServer
from tests.clients.conftest import client  # noqa: F401
from tests.clients.openai_turns import LONG
from turnstream.workers.engines.checkpoint import DEMO_FOLDER

#: Both servers compute on the same cores as everything else.
ANSWER_SECONDS = 240.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VllmServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with (
        VllmServer(DEMO_FOLDER, log=folder / "one", context=1024) as one,
        # As it is started without a thought of turnstream.
        VllmServer(DEMO_FOLDER, log=folder / "two", context=1024, scale_out=False) as two,
    ):
        yield [one, two]


@pytest.fixture(scope="module")
def service(
    servers: list[VllmServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    environ = {"TURNSTREAM_REMOTE_URLS": ",".join(server.url for server in servers)}
    folder: Path = tmp_path_factory.mktemp("service")
    with Service(folder, "--engine", "remote", environ=environ) as running:
        yield running


def test_an_answer_goes_on_exactly_at_the_other_server(
    service: Service,
    servers: list[VllmServer],
    client: OpenAI,  # noqa: F811
) -> None:
    asked: dict[str, Any] = {"model": "demo", **LONG, "timeout": ANSWER_SECONDS}
    asked |= {"temperature": 0, "extra_body": {"ignore_eos": True}, "max_output_tokens": 600}
    whole = client.responses.create(**asked)
    pieces: list[str] = []
    for event in client.responses.create(stream=True, **asked):
        if event.type == "response.output_text.delta":
            pieces.append(event.delta)
            if len(pieces) == 3:
                [answering] = [
                    server for server in servers if server.metric("vllm:num_requests_running")
                ]
                answering.kill()
        last: Any = event

    assert len(pieces) > 3
    assert last.type == "response.incomplete"
    assert last.response.output_text == "".join(pieces) == whole.output_text
    assert service.ask("Hello")["status"] in ("completed", "incomplete")
