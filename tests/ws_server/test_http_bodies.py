"""Request bodies at the edge: codings, bounds of their sizes, and the same bounds on the socket."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import redis.asyncio
from websockets.asyncio.client import connect

from tests.ws_server.edge import (
    BODY_BYTES,
    KEY,
    SOCKET_BYTES,
    Edge,
    code_of,
)
from tests.ws_server.fake_worker import FakeWorker
from turnstream.ws_server.content_coding import zstd

WAIT_SECONDS = 20
QUESTION = {"input": "Größe?", "background": True}
CODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("coding", CODERS)
async def test_a_compressed_body_is_read_as_it_was_meant(
    http: httpx2.AsyncClient, worker: FakeWorker, coding: str
) -> None:
    worker.heartbeat()
    for path, body in (
        ("/v1/responses", QUESTION),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Größe?"}]}),
    ):
        coded = CODERS[coding](json.dumps(body).encode())
        asking = asyncio.create_task(
            http.post(path, content=coded, headers={"content-encoding": coding})
        )

        claimed = await worker.claim()
        worker.say("Big.")
        worker.end()

        assert [message.text for message in claimed.messages] == ["Größe?"]
        assert (await asking).status_code == 200


async def test_a_request_of_megabytes_reaches_the_worker_whole(
    node: str, worker: FakeWorker
) -> None:
    worker.heartbeat()
    text = "many words " * 700_000
    asked = {"messages": [{"role": "user", "content": text}]}
    async with httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS) as client:
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=asked))
        claimed = await worker.claim()
        worker.say("Many.")
        worker.end()

        assert (await asking).status_code == 200
    assert [message.text for message in claimed.messages] == [text]


async def test_a_compressed_upload_is_stored_decoded(http: httpx2.AsyncClient) -> None:
    line = b'{"custom_id": "a"}\n' * 1000
    form = httpx2.Request(
        "POST", http.base_url, data={"purpose": "batch"}, files={"file": ("in.jsonl", line)}
    )
    body = gzip.compress(form.read())
    headers = {"content-encoding": "gzip", "content-type": form.headers["content-type"]}

    made = await http.post("/v1/files", content=body, headers=headers)

    content = await http.get(f"/v1/files/{made.json()['id']}/content")
    assert made.json()["bytes"] == len(line)
    assert content.content == line


@pytest.mark.parametrize("coding", ["", *CODERS])
async def test_the_bound_is_on_the_decoded_size(http: httpx2.AsyncClient, coding: str) -> None:
    coder = CODERS.get(coding, bytes)
    headers = {"content-encoding": coding} if coding else {}
    question = json.dumps(QUESTION).encode()
    for size, refused in ((BODY_BYTES, False), (BODY_BYTES + 1, True), (300 * BODY_BYTES, True)):
        body = coder(question.ljust(size))
        answer = await http.post("/v1/responses", content=body, headers=headers)
        if refused:
            assert code_of(answer) == (413, "request_too_large")
            assert str(BODY_BYTES) in answer.json()["error"]["message"]
        else:
            assert answer.status_code == 200, answer.text


async def test_a_body_of_unknown_length_is_bounded_too(http: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 4096

    answer = await http.post("/v1/responses", content=endless())

    assert code_of(answer) == (413, "request_too_large")


@pytest.mark.parametrize("path", ["responses", "responses/input_tokens", "responses/compact"])
async def test_a_coding_that_is_not_supported_or_wrong_is_refused(
    http: httpx2.AsyncClient, path: str
) -> None:
    for coding in ("br", "gzip, gzip"):
        answer = await http.post(f"/v1/{path}", content=b"x", headers={"content-encoding": coding})
        assert code_of(answer) == (415, "unsupported_content_encoding")
        assert repr(coding) in answer.json()["error"]["message"]
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"

    answer = await http.post(f"/v1/{path}", content=b"{}", headers={"content-encoding": "gzip"})
    assert code_of(answer) == (400, "invalid_content_encoding")


async def test_a_message_on_the_socket_has_the_same_bound_and_the_socket_stays_open(
    edge: Edge, redis: "redis.asyncio.Redis"
) -> None:
    url = edge.url.replace("http", "ws", 1) + "/v1/responses"
    headers = {"authorization": f"Bearer {KEY}"}
    ask = json.dumps({"type": "response.create", "input": "Hello"})
    async with connect(url, additional_headers=headers) as socket:
        await socket.send(ask.ljust(BODY_BYTES + 1))
        refused = json.loads(await socket.recv())
        await socket.send(ask.ljust(BODY_BYTES))
        taken = json.loads(await socket.recv())

    assert (refused["status"], refused["error"]["code"]) == (413, "request_too_large")
    assert taken["type"] == "response.created"


async def test_unanswered_requests_of_a_socket_have_a_bound_together(
    edge: Edge, worker: FakeWorker
) -> None:
    url = edge.url.replace("http", "ws", 1) + "/v1/responses"
    headers = {"authorization": f"Bearer {KEY}"}
    ask = json.dumps({"type": "response.create", "input": "Hello"}).ljust(BODY_BYTES)
    steer = {"type": "response.steer", "previous_response_id": "r", "input": "x" * BODY_BYTES}
    async with connect(url, additional_headers=headers) as socket:
        await socket.send(ask)
        await worker.claim()
        await socket.send(ask)
        await socket.send(ask)
        await socket.send(json.dumps(steer | {"input": "x" * 60_000}))
        refused = await read_until(socket, "error")
        worker.say("One.")
        worker.end()
        await worker.claim()
        worker.say("Two.")
        worker.end()
        await read_until(socket, "error")
        await socket.send(ask)
        await worker.claim()
        worker.end()
        ended = await read_until(socket, "response.completed")

    assert (refused["status"], refused["error"]["code"]) == (503, "overloaded")
    assert str(SOCKET_BYTES) in refused["error"]["message"]
    assert ended["response"]["status"] == "completed"


async def read_until(socket: Any, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while (event := json.loads(await socket.recv()))["type"] != kind:
            pass
    found: dict[str, Any] = event
    return found
