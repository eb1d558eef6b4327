"""Whatever is asked over HTTP, what is answered is what the published document says, and no 5xx."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.service import Service
from tests.schemas.published import OPENAPI

#: All but those that want a refusal for each field that we pass over, or an answer to each question
#: that is well formed: whose model, or whose previous response, may still be nobody's.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
#: Beside the time that it may fuzz, it reads the document and shrinks what fails.
MARGIN_SECONDS = 120


def narrowed(file_id: str) -> dict[str, Any]:
    """Give the document for questions that mostly become turns, and short ones."""
    document = copy.deepcopy(OPENAPI)
    schemas = document["components"]["schemas"]
    response, completion = schemas["ResponseBody"], schemas["CompletionBody"]
    for asked, length in ((response, "max_output_tokens"), (completion, "max_tokens")):
        asked["properties"][length] = {"const": 2}
        asked["properties"]["model"] = {"enum": ["demo", None]}
        asked.setdefault("required", []).append(length)
    del completion["properties"]["max_completion_tokens"]
    text = schemas["TextCompletionBody"]
    text["properties"] |= {"max_tokens": {"const": 2}, "model": {"enum": ["demo", None]}}
    text.setdefault("required", []).append("max_tokens")
    response["properties"]["previous_response_id"] = {"type": "null"}
    # Nothing is sent anywhere.
    for webhook in (schemas["WebhookEndpointBody"], schemas["WebhookEndpointUpdateBody"]):
        webhook["properties"]["url"] = {"enum": ["https://hook.invalid/", "https://127.0.0.1/"]}
    schemas["BatchRequest"]["properties"]["input_file_id"] = {"enum": [file_id, "file-0"]}
    # A feed does not end: it would take all the time that a request has.
    del document["paths"]["/v1/conversations/{id}/feed"]
    return document


@pytest.mark.parametrize(
    "seconds", [pytest.param(2, id="short"), pytest.param(180, marks=pytest.mark.long, id="long")]
)
def test_every_response_is_as_published_and_none_is_a_server_error(
    service: Service, tmp_path: Path, seconds: int
) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"input": "Hi"}}
    made = httpx2.post(
        f"{service.url}/v1/files",
        data={"purpose": "batch"},
        files={"file": ("in.jsonl", json.dumps(line).encode())},
        timeout=60,
    )
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(narrowed(made.json()["id"])), encoding="utf-8")
    program = Path(sys.executable).with_name("schemathesis")

    run = subprocess.run(
        [
            *(str(program), "run", str(document), "--url", service.url),
            *("--checks", ",".join(CHECKS), "--max-time", str(seconds), "--seed", "1"),
            *("--warnings", "off", "--continue-on-failure", "--request-timeout", "60"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=seconds + MARGIN_SECONDS,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: " in run.stdout
