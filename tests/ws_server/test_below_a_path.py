"""The service below a path of a proxy: the page in a real browser, and the official SDK."""

import asyncio

import pytest
from openai import AsyncOpenAI
from playwright.async_api import Browser

from tests.browser import visit
from tests.ws_server.edge import KEY, PREFIX, Edge
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.prefix_proxy import below


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "left"])
async def test_the_page_works_below_a_path_that_the_proxy_tells(
    browser: Browser, node: str, worker: FakeWorker, strips: bool
) -> None:
    worker.heartbeat()
    async with (
        below(node, "/chat/llm", strips=strips, tells=True) as (url, proxy),
        visit(browser, url + "/") as opened,
    ):
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("One", " two.")
        worker.end()

        assert await opened.becomes(turn, "completed") == "One two."
        icon = opened.page.locator("h1 img")
        assert await icon.evaluate("(image) => image.naturalWidth") > 0
        opened.assert_nothing_went_wrong()
        assert proxy.astray == []


async def test_the_page_at_the_bare_path_finds_its_parts(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with (
        below(node, "/llm", strips=False, tells=True) as (url, proxy),
        visit(browser, url) as opened,
    ):
        await opened.connection("connected")

        assert opened.page.url == url + "/"
        opened.assert_nothing_went_wrong()
        assert proxy.astray == []


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "left"])
async def test_the_sdk_works_below_the_path_that_is_set(
    edge: Edge, worker: FakeWorker, strips: bool
) -> None:
    worker.heartbeat()
    async with (
        below(edge.url, PREFIX, strips=strips, tells=False) as (url, _),
        AsyncOpenAI(base_url=f"{url}/v1/", api_key=KEY, max_retries=0) as client,
    ):
        asking = asyncio.create_task(client.responses.create(model="tiny", input="One?"))
        await worker.claim()
        worker.say("One.")
        worker.end()

        assert (await asking).output_text == "One."
