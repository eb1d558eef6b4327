"""Bad input gets an error that names what was wrong, and harms nothing else."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from harness.service import Service
from tests.end_to_end.test_socket import answer, event_text, next_event

UNKNOWN = "resp_" + 32 * "f"


def create(**fields: Any) -> str:
    return json.dumps({"type": "response.create"} | fields)


BAD = [
    pytest.param("{", 400, "invalid_json", id="not JSON"),
    pytest.param('{"type":"x"}', 400, "unknown_event_type", id="an unknown type"),
    pytest.param(create(input=7), 400, "invalid_value", id="a wrong field type"),
    pytest.param(create(input="x" * 8_400_000), 413, "request_too_large", id="over 8 MiB"),
    pytest.param(create(input="x" * 16_000_000), 413, "request_too_large", id="far over 8 MiB"),
    pytest.param(
        create(input="Hi", previous_response_id=UNKNOWN),
        400,
        "previous_response_not_found",
        id="an unknown previous response",
    ),
    pytest.param(create(input="Hi", model="gpt-9"), 404, "model_not_found", id="an unknown model"),
    pytest.param(create(input=""), 400, "invalid_value", id="an empty input"),
    pytest.param(
        create(input="many words " * 9_000), 400, "context_length_exceeded", id="a long prompt"
    ),
    pytest.param(
        create(input="many words " * 700_000), 400, "context_length_exceeded", id="megabytes"
    ),
    pytest.param(
        create(
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]
        ),
        400,
        "unsupported_value",
        id="an image",
    ),
]


@pytest.mark.parametrize(("frame", "status", "code"), BAD)
async def test_a_bad_frame_gets_an_error_and_the_socket_stays_open(
    service: Service, frame: str, status: int, code: str
) -> None:
    url = service.url.replace("http", "ws", 1) + "/v1/responses"
    async with connect(url, max_size=None) as socket, connect(url) as neighbour:
        await neighbour.send(create(input="Hello", temperature=0))
        await socket.send(frame)
        event = await next_event(socket)
        while event["type"].startswith("response."):
            event = await next_event(socket)

        assert event["type"] == "error"
        assert (event["status"], event["error"]["code"]) == (status, code)
        assert event["error"]["message"]
        assert event["error"]["type"] == "invalid_request_error"
        after = await answer(socket, input="Hello", temperature=0)
        assert after[-1]["type"] == "response.completed"
        events = [await next_event(neighbour)]
        while events[-1]["type"] != "response.completed":
            events.append(await next_event(neighbour))
        assert event_text(events) == event_text(after)


async def test_refusals_keep_the_order_of_their_lane(service: Service) -> None:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        await socket.send(create(input="Hello"))
        await socket.send("{")
        async with asyncio.timeout(60):
            types = [json.loads(await socket.recv())["type"]]
            while types[-1] != "error":
                types.append(json.loads(await socket.recv())["type"])

    assert types[-2:] == ["response.completed", "error"]


async def test_bytes_are_refused_and_the_socket_stays_open(service: Service) -> None:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        await socket.send(b"\x00\x01")
        assert (await next_event(socket))["error"]["code"] == "invalid_json"
        assert (await answer(socket, input="Hello"))[-1]["type"] == "response.completed"


async def test_a_page_of_another_host_gets_no_socket(service: Service) -> None:
    url = service.url.replace("http", "ws", 1) + "/v1/responses"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, origin="http://evil.example"):  # type: ignore[arg-type]
            pass

    assert refused.value.response.status_code == 403
    body = json.loads(refused.value.response.body or b"")
    assert body["error"]["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/responses", "{", 400, "invalid_json"),
        ("POST", "/v1/responses", "x" * 300_000, 400, "invalid_json"),
        ("POST", "/v1/responses", "x" * 8_400_000, 413, "request_too_large"),
        ("POST", "/v1/responses", "{}", 400, "missing_required_parameter"),
        ("POST", "/v1/responses", '{"input":"Hi","model":"no"}', 404, "model_not_found"),
        ("POST", "/v1/responses", '{"input":"Hi","stream":1}', 400, "invalid_value"),
        (
            "POST",
            "/v1/responses",
            json.dumps({"input": "many words " * 9_000}),
            400,
            "context_length_exceeded",
        ),
        ("GET", f"/v1/responses/{UNKNOWN}", "", 404, "response_not_found"),
        ("GET", f"/v1/responses/{UNKNOWN}?stream=true", "", 404, "response_not_found"),
        ("GET", "/v1/responses/x", "", 404, "response_not_found"),
        ("POST", f"/v1/responses/{UNKNOWN}/cancel", "", 404, "response_not_found"),
    ],
)
async def test_http_answers_bad_input_with_a_status_and_a_code(
    service: Service, method: str, path: str, body: str, status: int, code: str
) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as client:
        answer = await client.request(method, path, content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
