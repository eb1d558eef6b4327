"""Pages of other origins: what one that is listed may do over HTTP, and one that is not may not."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.browser import visit
from tests.schemas.published import OPENAPI
from tests.ws_server.edge import KEY, LIMITED_KEY, Edge
from tests.ws_server.fake_worker import FakeWorker
from turnstream.ws_server.app import create_app
from turnstream.ws_server.settings import ServerSettings

#: What the official SDK sends from a browser.
SDK_HEADERS = (
    "authorization,content-type,idempotency-key,openai-organization,openai-project,"
    + ",".join(
        f"x-stainless-{name}"
        for name in (
            *("arch", "lang", "os", "package-version", "retry-count"),
            *("runtime", "runtime-version", "timeout"),
        )
    )
)
#: Method and path of every operation, for an id that nobody has.
ROUTES = [
    (method.upper(), re.sub(r"{\w+}", "nobody", path))
    for path, operations in OPENAPI["paths"].items()
    for method in operations
]
#: Asks for every route as the SDK would, and gives each status and request id; "blocked" when the
#: browser keeps the answer from the page.
ASK_ALL = """async ([url, routes, key]) => Promise.all(routes.map(async ([method, path]) => {
  const headers = { authorization: `Bearer ${key}`, "x-stainless-lang": "js" };
  // Nothing that makes a turn: no worker would answer it.
  const body = method === "POST" ? '{"temperature": "hot"}' : undefined;
  if (body) headers["content-type"] = "application/json";
  try {
    const answer = await fetch(url + path, { method, headers, body });
    return [answer.status, answer.headers.get("x-request-id") !== null];
  } catch {
    return "blocked";
  }
}))"""


async def preflight(http: httpx2.AsyncClient, path: str, origin: str, **more: str) -> Any:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": SDK_HEADERS,
    }
    # A browser sends no key with it.
    bare = httpx2.AsyncClient(base_url=http.base_url, timeout=30)
    async with bare:
        return await bare.options(path, headers=headers | more)


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
async def test_a_preflight_of_a_listed_origin_allows_all_that_the_sdk_sends(
    http: httpx2.AsyncClient, edge: Edge, path: str
) -> None:
    answer = await preflight(http, path, edge.listed)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == edge.listed
    allowed = answer.headers["access-control-allow-headers"].split(",")
    assert {name.strip() for name in allowed} >= set(SDK_HEADERS.split(","))
    assert {"GET", "POST", "DELETE"} <= set(
        answer.headers["access-control-allow-methods"].split(", ")
    )
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["x-request-id"]


async def test_a_listed_page_may_ask_an_address_of_a_private_network(
    http: httpx2.AsyncClient, edge: Edge
) -> None:
    asked = {"access-control-request-private-network": "true"}

    answer = await preflight(http, "/v1/responses", edge.listed, **asked)

    assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("tauri://localhost", True),
        ("TAURI://localhost", True),
        ("app://obsidian.md", True),
        ("null", False),
        ("https://evil.example", False),
        ("http://127.0.0.1", False),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", False),
    ],
)
async def test_one_list_is_for_preflights_and_requests_and_sockets(
    http: httpx2.AsyncClient, origin: str, allowed: bool
) -> None:
    asked = await preflight(http, "/v1/responses", origin)
    answer = await http.get("/v1/models", headers={"origin": origin})
    upgrade = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
    upgrade |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "origin": origin}
    socket = await http.get("/v1/responses", headers=upgrade)

    assert asked.status_code == answer.status_code == (200 if allowed else 403)
    assert socket.status_code == (101 if allowed else 403)
    for each in (asked, answer):
        assert each.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "Origin" in each.headers["vary"]
        if not allowed:
            assert each.json()["error"]["code"] == "origin_not_allowed"


async def test_without_a_page_there_is_only_vary(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/v1/models")

    assert answer.headers["vary"] == "Origin"
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_every_error_is_readable_by_a_listed_page(
    http: httpx2.AsyncClient, edge: Edge
) -> None:
    page = {"origin": edge.listed}
    limited = page | {"authorization": f"Bearer {LIMITED_KEY}"}
    question = {"input": "Hi", "background": True}
    await http.post("/v1/responses", json=question, headers=limited)
    answers = {
        400: await http.post("/v1/responses", content=b"{", headers=page),
        401: await http.get("/v1/models", headers=page | {"authorization": "Bearer wrong"}),
        404: await http.get("/v1/nowhere", headers=page),
        405: await http.put("/v1/responses", headers=page),
        413: await http.post("/v1/responses", content=b" " * 99_999, headers=page),
        415: await http.post("/v1/responses", headers=page | {"content-encoding": "br"}),
        429: await http.post("/v1/responses", json=question, headers=limited),
        503: await http.post("/v1/responses/input_tokens", json={"input": "Hi"}, headers=page),
    }

    for status, answer in answers.items():
        assert answer.status_code == status, answer.text
        assert answer.headers["access-control-allow-origin"] == edge.listed
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "retry-after", "x-ratelimit-remaining-requests"} <= set(exposed)


async def test_a_failure_of_the_server_is_readable_too_and_has_its_request_id() -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    page = "https://chat.example"
    app = create_app(ServerSettings.read({"TURNSTREAM_ORIGINS": page}))
    app.router.routes.insert(0, Route("/broken", broken))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(
        transport=transport, timeout=30, base_url="http://localhost"
    ) as client:
        answer = await client.get("/broken", headers={"origin": page, "x-request-id": "mine"})

    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == page
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["error"]["message"].endswith("under mine.")


async def test_in_a_browser_every_route_answers_a_listed_page_and_no_other(
    browser: Browser, edge: Edge, worker: FakeWorker
) -> None:
    routes = [list(route) for route in ROUTES]
    async with visit(browser, f"{edge.listed}/blank.html") as listed:
        seen = await listed.page.evaluate(ASK_ALL, [edge.url, routes, KEY])
    async with visit(browser, f"{edge.foreign}/blank.html") as foreign:
        hidden = await foreign.page.evaluate(ASK_ALL, [edge.url, routes, KEY])

    assert len(routes) > 15
    assert [answer for answer in seen if answer == "blocked" or not answer[1]] == []
    assert {answer[0] for answer in seen} <= {200, 400, 404, 503}
    assert hidden == ["blocked"] * len(routes)


async def test_in_a_browser_a_foreign_page_cannot_even_start_a_turn(
    browser: Browser, edge: Edge, node: str, worker: FakeWorker
) -> None:
    # Such a request needs no preflight, and this node no key.
    post = """async (url) => {
      const body = JSON.stringify({ input: "Hello", background: true });
      await fetch(`${url}/v1/responses`, { method: "POST", mode: "no-cors", body });
    }"""
    async with visit(browser, f"{edge.foreign}/blank.html") as foreign:
        await foreign.page.evaluate(post, node)

    assert worker.queue.claim(1) is None


async def test_in_a_browser_a_listed_page_reads_a_stream_and_a_socket(
    browser: Browser, edge: Edge, worker: FakeWorker
) -> None:
    read = """async ([url, key]) => {
      const asked = { method: "POST", body: JSON.stringify({ input: "One?", stream: true }) };
      asked.headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const answer = await fetch(`${url}/v1/responses`, asked);
      const left = answer.headers.get("x-ratelimit-remaining-requests");
      const text = await answer.text();
      const address = `${url.replace("http", "ws")}/v1/responses`;
      const socket = new WebSocket(address, ["responses", `openai-insecure-api-key.${key}`]);
      await new Promise((opened) => { socket.onopen = opened; });
      return [left, text];
    }"""
    async with visit(browser, f"{edge.listed}/blank.html") as listed:
        reading = asyncio.create_task(listed.page.evaluate(read, [edge.url, KEY]))
        await worker.claim()
        worker.say("One", " two.")
        worker.end()
        left, text = await reading

    assert left == "59"
    assert text.endswith("\n\ndata: [DONE]\n\n")


SDK_PAGE = """<!doctype html><title>sdk</title>
<script type="importmap">{"imports": {
  "openai": "/node_modules/openai/index.mjs",
  "#x509-transport-state": "/node_modules/openai/internal/auth/x509-transport-state.mjs"
}}</script>
<script type="module">
  import OpenAI from "openai";
  const options = { apiKey: "KEY", baseURL: "URL/v1", dangerouslyAllowBrowser: true };
  const client = new OpenAI(options);
  window.ask = async () => {
    const texts = [];
    const stream = await client.responses.create({ model: "tiny", input: "One?", stream: true });
    for await (const event of stream)
      if (event.type === "response.output_text.delta") texts.push(event.delta);
    return texts;
  };
  window.fail = async () => {
    try {
      await client.responses.retrieve("resp_nobody");
    } catch (error) {
      return [error.status, error.code, error.requestID !== undefined];
    }
  };
  window.chat = async () => {
    const messages = [{ role: "user", content: "Two?" }];
    const answer = await client.chat.completions.create({ model: "tiny", messages });
    return answer.choices[0].message.content;
  };
</script>"""


@pytest.fixture
def sdk_url(edge: Edge, pages_folder: Path, node_modules: Path) -> Iterator[str]:
    """Return the address of a page of the listed origin that uses the official SDK."""
    linked = pages_folder / "node_modules"
    linked.symlink_to(node_modules, target_is_directory=True)
    page = SDK_PAGE.replace("KEY", KEY).replace("URL/", f"{edge.url}/")
    (pages_folder / "sdk.html").write_text(page)
    yield f"{edge.listed}/sdk.html"
    linked.unlink()


async def test_the_official_sdk_in_a_browser_streams_a_turn_from_another_origin(
    browser: Browser, sdk_url: str, worker: FakeWorker
) -> None:
    worker.heartbeat()
    async with visit(browser, sdk_url) as opened:
        await opened.page.wait_for_function("window.chat !== undefined")
        asking = asyncio.create_task(opened.page.evaluate("ask()"))
        await worker.claim()
        worker.say("One,", " two.")
        worker.end()
        assert await asking == ["One,", " two."]

        asking = asyncio.create_task(opened.page.evaluate("chat()"))
        await worker.claim()
        worker.say("Two.")
        worker.end()
        assert await asking == "Two."

        assert await opened.page.evaluate("fail()") == [404, "response_not_found", True]
