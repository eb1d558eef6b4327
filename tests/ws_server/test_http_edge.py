"""HTTP around the routes: sizes, codings, paths, old clients, ids, and what is left of limits."""

import asyncio
import gzip
import json
import re
import time
import zlib

import httpx2
import pytest
import redis.asyncio
from websockets.asyncio.client import connect

from tests.ws_server.edge import (
    KEEP_ALIVE_SECONDS,
    KEY,
    LIMITED_KEY,
    PREFIX,
    Edge,
    code_of,
)
from tests.ws_server.fake_worker import MODEL, FakeWorker
from turnstream.turns import keys
from turnstream.ws_server.content_coding import zstd
from turnstream.ws_server.settings import ServerSettings

WAIT_SECONDS = 20
QUESTION = {"input": "Größe?", "background": True}
CODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/responses/nobody", "/healthz", "/health", "/readyz", "/v1/files"]
)
async def test_a_slash_at_the_end_of_a_path_makes_no_difference(
    http: httpx2.AsyncClient, path: str, prefix: str
) -> None:
    plain = await http.get(path)
    slashed = await http.get(f"{prefix}{path}/")

    assert slashed.status_code == plain.status_code
    assert slashed.content.replace(b"/", b"") == plain.content.replace(b"/", b"")


async def test_a_model_without_a_name_is_the_list(
    http: httpx2.AsyncClient, worker: FakeWorker
) -> None:
    worker.heartbeat()

    assert [m["id"] for m in (await http.get("/v1/models/")).json()["data"]] == ["tiny"]
    assert (await http.get("/v1/models/tiny/")).json()["id"] == "tiny"


async def test_a_post_with_a_slash_is_served_and_not_redirected(http: httpx2.AsyncClient) -> None:
    for prefix in ("", PREFIX):
        answer = await http.post(f"{prefix}/v1/responses/", json=QUESTION)
        assert answer.json()["status"] == "queued"


@pytest.mark.parametrize("path", ["/v1/responses/", f"{PREFIX}/v1/responses"])
async def test_a_handshake_with_a_slash_or_below_the_prefix_is_accepted(
    edge: Edge, path: str
) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    async with connect(edge.url.replace("http", "ws", 1) + path, additional_headers=headers) as one:
        await one.send("{")
        assert json.loads(await one.recv())["error"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("sent", "location"), [({}, "/llm/"), ({"x-forwarded-prefix": "/chat/llm"}, "/chat/llm/")]
)
async def test_the_bare_prefix_leads_to_the_page_without_a_host(
    http: httpx2.AsyncClient, sent: dict[str, str], location: str
) -> None:
    answer = await http.get(location.rstrip("/"), headers=sent)

    assert (answer.status_code, answer.headers["location"]) == (307, location)
    page = await http.get(location, headers=sent)
    assert "<title>turnstream</title>" in page.text


async def test_a_forwarded_prefix_that_is_no_path_is_ignored(http: httpx2.AsyncClient) -> None:
    for prefix in ("/../llm", "//evil.example", "/a b", "llm", "/" + "x" * 2000):
        answer = await http.get("/healthz", headers={"x-forwarded-prefix": prefix})
        assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/health", "/openapi.json", "/v1/models", "/v1/files", "/v1/batches"]
)
async def test_head_has_the_headers_of_get_and_no_body(http: httpx2.AsyncClient, path: str) -> None:
    got = await http.get(path)
    head = await http.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_head_of_a_stream_ends_at_once(http: httpx2.AsyncClient) -> None:
    made = (await http.post("/v1/responses", json=QUESTION)).json()

    head = await http.head(f"/v1/responses/{made['id']}?stream=true")
    nobody = await http.head("/v1/responses/nobody?stream=true")

    assert head.headers["content-type"].startswith("text/event-stream")
    assert (head.status_code, nobody.status_code) == (200, 404)


async def http_1_0(edge: Edge, method: str, path: str, body: bytes = b"", host: str = "") -> bytes:
    """Ask as a client of HTTP/1.0; give all that comes before the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    head = f"{method} {path} HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n"
    writer.write(f"{head}{host}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    async with asyncio.timeout(WAIT_SECONDS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_http_1_0_is_answered_without_chunks(edge: Edge, worker: FakeWorker) -> None:
    head, _, body = (await http_1_0(edge, "GET", "/healthz")).partition(b"\r\n\r\n")
    assert json.loads(body) == {"status": "ok"}
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()


async def test_a_stream_over_http_1_0_ends_with_the_connection(
    edge: Edge, worker: FakeWorker
) -> None:
    ask = json.dumps({"input": "One?", "stream": True}).encode()
    asking = asyncio.create_task(http_1_0(edge, "POST", "/v1/responses", ask))
    await worker.claim()
    worker.say("One", " two.")
    worker.end()

    head, _, body = (await asking).partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"event: response.created\ndata: {")
    assert body.endswith(b"\n\ndata: [DONE]\n\n")


async def test_an_idle_connection_is_kept_as_long_as_is_set(edge: Edge) -> None:
    assert ServerSettings.read({}).keep_alive_seconds == 75
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b'{"status":"ok"}')
    idle = time.monotonic()

    async with asyncio.timeout(WAIT_SECONDS):
        assert await reader.read() == b""

    assert time.monotonic() - idle > KEEP_ALIVE_SECONDS - 0.5
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", ["/healthz", "/v1/responses/nobody", "/v1/nowhere"])
async def test_a_clients_request_id_is_taken_over_if_it_is_sane(
    http: httpx2.AsyncClient, path: str
) -> None:
    for sent in ("trace-7f/3:a", "x" * 128):
        answer = await http.get(path, headers={"x-request-id": sent})
        assert answer.headers["x-request-id"] == sent
    for sent in ("two words", "x" * 129, "", "Größe".encode().decode("latin-1")):
        answer = await http.get(path, headers=[(b"x-request-id", sent.encode("latin-1"))])
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert int(answer.headers["openai-processing-ms"]) >= 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/audio/speech"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/assistants"),
        ("POST", "/v1/threads"),
        ("GET", "/v1/realtime"),
        ("POST", "/chat/completions"),
        ("POST", "/v1/v1/responses"),
    ],
)
async def test_what_is_not_served_is_a_404_that_says_what_is(
    http: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)

    assert code_of(answer) == (404, "not_found")
    message = answer.json()["error"]["message"]
    assert path in message
    for served in ("/v1/responses", "/v1/chat/completions", "/v1/models", "/v1/files"):
        assert served in message
    assert "{" not in message


async def test_create_tells_what_is_left_of_the_limits(
    http: httpx2.AsyncClient, worker: FakeWorker
) -> None:
    first = await http.post("/v1/responses", json=QUESTION)
    second = await http.post("/v1/responses", json=QUESTION)

    assert first.headers["x-ratelimit-limit-requests"] == "60"
    assert first.headers["x-ratelimit-remaining-requests"] == "59"
    assert first.headers["x-ratelimit-reset-requests"] == "1s"
    assert first.headers["x-ratelimit-limit-tokens"] == "60000"
    # Two tokens of the question, and 256 for an answer of unknown length.
    assert first.headers["x-ratelimit-remaining-tokens"] == "59742"
    assert first.headers["x-ratelimit-reset-tokens"] == "258ms"
    assert second.headers["x-ratelimit-remaining-requests"] == "58"


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
async def test_streams_tell_it_too(http: httpx2.AsyncClient, worker: FakeWorker, path: str) -> None:
    question = {"input": "Hi"}
    if path != "responses":
        question = {"messages": [{"role": "user", "content": "Hi"}]}  # type: ignore[dict-item]
    asking = asyncio.create_task(http.post(f"/v1/{path}", json=question | {"stream": True}))
    await worker.claim()
    worker.say("Hi.")
    worker.end()

    assert (await asking).headers["x-ratelimit-remaining-requests"] == "59"


async def test_a_refusal_for_a_limit_tells_when_it_is_free_again(
    http: httpx2.AsyncClient,
) -> None:
    headers = {"authorization": f"Bearer {LIMITED_KEY}"}
    taken = await http.post("/v1/responses", json=QUESTION, headers=headers)
    refused = await http.post("/v1/responses", json=QUESTION, headers=headers)

    assert taken.headers["x-ratelimit-remaining-requests"] == "0"
    assert taken.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert code_of(refused) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert not [name for name in refused.headers if name.endswith("-tokens")]


async def test_without_limits_nothing_is_told(node: str, worker: FakeWorker) -> None:
    async with httpx2.AsyncClient(base_url=node, timeout=30) as client:
        answer = await client.post("/v1/responses", json=QUESTION)

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_readyz_does_not_count_on_a_worker_that_is_draining(
    http: httpx2.AsyncClient, worker: FakeWorker, redis: "redis.asyncio.Redis"
) -> None:
    worker.heartbeat()
    live = await http.get("/readyz")
    await redis.hset(keys.draining(MODEL), "w0", "1")  # type: ignore[misc]
    draining = await http.get("/readyz")

    assert (live.status_code, draining.status_code) == (200, 503)
    assert draining.json()["status"] == f"no worker for {MODEL}"


async def test_readyz_says_how_much_of_the_model_a_worker_has_loaded(
    http: httpx2.AsyncClient, redis: "redis.asyncio.Redis"
) -> None:
    await redis.set("ts:loading:tiny", 43)

    answer = await http.get("/readyz")

    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "no worker for tiny", "detail": "a worker loads tiny: 43 %"},
    )
