"""One service with several models: each has its own worker, and requests choose by name."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from harness import tiny_llama
from harness.service import Service

MODELS = ["first", "tiny"]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two models, of which one is called something else than its folder."""
    folder = tiny_llama.make(tmp_path_factory.mktemp("models") / "tiny")
    environ = {"TURNSTREAM_PROMPT": "llama-2-chat"}
    directory = tmp_path_factory.mktemp("several")
    more = ("--model", str(folder))
    with Service(directory, *more, model=f"first={folder}", environ=environ) as running:
        yield running


def answered(service: Service, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{service.url}/v1/responses",
        data=json.dumps(
            {
                "input": "Hi",
                "instructions": "Talk.",
                "max_output_tokens": 16,
                "temperature": 0,
                **body,
            }
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_each_of_several_models_answers_and_the_first_is_the_default(several: Service) -> None:
    with urllib.request.urlopen(f"{several.url}/v1/models", timeout=30) as response:
        listed = [model["id"] for model in json.load(response)["data"]]
    answers = [answered(several, body) for body in ({}, *({"model": name} for name in MODELS))]

    assert listed == MODELS
    assert [answer["model"] for answer in answers] == ["first", *MODELS]
    # They have the same weights.
    assert len({answer["output"][0]["content"][0]["text"] for answer in answers}) == 1
