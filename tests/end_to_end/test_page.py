"""The page against the whole service: a real browser, and the demo model's own answers."""

import asyncio
import json
import signal
import urllib.request
from typing import Any

from playwright.async_api import Browser, Locator, expect

from harness.service import Service
from tests.browser import Visit, visit
from turnstream.ws_server.page import DEMO_EXAMPLES

#: The model answers this with some six hundred tokens.
LONG_STORY = "Write a long story."
#: Makes every answer long: it does not end before its limit.
RAMBLE = """
delete window.SharedWorker;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  const message = JSON.parse(text);
  const more = { ignore_eos: true, max_output_tokens: 600 };
  if (message.type === "response.create") Object.assign(message, more);
  send.call(this, JSON.stringify(message));
};
"""


async def kept(service: Service, turn: Locator) -> dict[str, Any]:
    """Return the response as the server stores it."""
    response_id = await turn.get_attribute("data-response")

    def get() -> dict[str, Any]:
        url = f"{service.url}/v1/responses/{response_id}"
        with urllib.request.urlopen(url, timeout=30) as response:
            body: dict[str, Any] = json.load(response)
        return body

    return await asyncio.to_thread(get)


def text_of(response: dict[str, Any]) -> str:
    text: str = response["output"][0]["content"][0]["text"]
    return text


async def copied(opened: Visit, turn: Locator) -> str:
    """Return what the page copies as the text of an answer."""
    await turn.get_by_role("button", name="Copy the answer").click()
    await turn.get_by_text("Copied", exact=True).wait_for()
    text: str = await opened.page.evaluate("navigator.clipboard.readText()")
    return text


async def test_three_turns_in_the_page_are_what_the_server_keeps(
    browser: Browser, service: Service
) -> None:
    async with visit(browser, service.url) as opened:
        previous = None
        await opened.connection("connected")
        examples = opened.page.locator("#examples button")
        await expect(examples).to_have_text(DEMO_EXAMPLES)
        await examples.first.click()
        for number, text in enumerate((None, "Who directed it?", "Who starred in it?")):
            turn = await opened.ask(text) if text else opened.page.locator(".turn").first
            await opened.becomes(turn, "completed")

            response = await kept(service, turn)
            assert await copied(opened, turn) == text_of(response) != ""
            assert response["status"] == "completed"
            assert response["previous_response_id"] == previous
            previous = response["id"]
            assert await opened.page.locator(".turn").count() == number + 1
        opened.assert_nothing_went_wrong()


async def test_stop_ends_a_long_answer_and_keeps_its_beginning(
    browser: Browser, service: Service
) -> None:
    async with visit(browser, service.url, before=RAMBLE) as opened:
        turn = await stopped(opened)

        response = await kept(service, turn)
        assert await copied(opened, turn) == text_of(response)
        assert response["status"] == "cancelled"
        await expect(turn.locator(".note")).to_have_text("Stopped")
        await expect(opened.page.get_by_role("button", name="Send")).to_be_visible()
        assert opened.errors == []


async def stopped(opened: Visit) -> Locator:
    """Ask and stop; ask again if the model had ended before the cancel arrived."""
    for _ in range(10):
        turn = await opened.ask("Tell me a story.")
        begun = '[data-state="writing"], [aria-busy="false"]'
        await turn.and_(opened.page.locator(begun)).wait_for()
        await opened.page.keyboard.press("Escape")
        await opened.ends(turn)
        if await turn.get_attribute("data-state") == "cancelled":
            return turn
    raise AssertionError("no answer could be stopped")


async def test_an_answer_continues_when_the_node_is_killed(
    browser: Browser, broken_service: Service
) -> None:
    async with visit(browser, broken_service.url) as opened:
        turn = await opened.ask(LONG_STORY)
        before = await opened.becomes(turn, "writing")

        broken_service.child("serve").send_signal(signal.SIGKILL)

        await opened.connection("reconnecting")
        await opened.connection("connected")
        shown = await opened.ends(turn)
        assert shown.startswith(before.rstrip())
        assert len(shown) > len(before)
        assert await copied(opened, turn) == text_of(await kept(broken_service, turn))
