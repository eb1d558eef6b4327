"""The list of conversations in the page: found, renamed and deleted, here and on the server."""

import asyncio

import httpx2
from playwright.async_api import Browser, expect

from tests.browser import visit
from tests.ws_server.fake_worker import FakeWorker


async def test_a_deleted_conversation_is_deleted_on_the_server_too(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with (
        visit(browser, node) as opened,
        httpx2.AsyncClient(base_url=node, timeout=30) as http,
    ):
        tab = opened.page
        turn = await opened.ask("One?")
        claimed = await worker.claim()
        worker.say("One.")
        worker.end()
        await opened.ends(turn)
        waiting = await opened.ask("Two?")
        await opened.becomes(waiting, "queued")
        later = await waiting.get_attribute("data-response")

        item = tab.locator("#conversations li")
        await item.get_by_role("button", name="Rename").click()
        await tab.get_by_label("New title").fill("Numbers")
        await tab.keyboard.press("Enter")
        await expect(item.get_by_role("link")).to_contain_text("Numbers")
        await tab.get_by_label("Search conversations").fill("letters")
        await expect(item).to_have_count(0)
        await tab.get_by_label("Search conversations").fill("numb")
        await item.get_by_role("button", name="Delete").click()
        await tab.get_by_role("dialog").get_by_role("button", name="Delete").click()

        await expect(tab.locator(".turn")).to_have_count(0)
        await expect(item).to_have_count(0)
        async with asyncio.timeout(20):
            for id in (claimed.id, later):
                while (await http.get(f"/v1/responses/{id}")).status_code != 404:
                    await asyncio.sleep(0.05)
