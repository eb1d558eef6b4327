"""One service with several models: each has its own worker, and requests choose by name."""

import json
import urllib.request
from typing import Any

from harness.service import Service

MODELS = ["demo", "tiny"]


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


def test_each_of_several_models_answers_and_the_first_is_the_default(
    broken_service: Service,
) -> None:
    with urllib.request.urlopen(f"{broken_service.url}/v1/models", timeout=30) as response:
        listed = [model["id"] for model in json.load(response)["data"]]
    answers = [
        answered(broken_service, body) for body in ({}, *({"model": name} for name in MODELS))
    ]

    assert listed == MODELS
    assert [answer["model"] for answer in answers] == ["demo", *MODELS]
    default, demo, tiny = (answer["output"][0]["content"][0]["text"] for answer in answers)
    assert default == demo != tiny
