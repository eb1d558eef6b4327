"""The page loses no character and submits no turn twice, whatever happens to its connection.

What turnstream.js does by itself is tested with it; here are the promises that the page makes.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

from playwright.async_api import Browser, expect
from websockets.asyncio.client import connect as connect_socket

from tests.browser import FENCE, SLICES, opened, visit
from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import socket_url
from turnstream.turns import keys
from turnstream.turns.connection import connect

#: A tab's own socket: Playwright can't take a shared worker offline, nor change its socket.
ALONE = "delete window.SharedWorker;"

#: Keeps what is said of the connection.
LISTEN = """() => {
  window.said = [];
  const look = () => said.push(
    ...[...document.querySelectorAll("#connection, .note")].map(({ textContent }) => textContent));
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
}"""

#: Keeps the socket of a tab with a query closed until it is told otherwise, and deaf then.
LATE = (
    ALONE
    + """
const told = new Promise((resolve) => (window.go = resolve));
const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onopen");
const open = { set(act) { set.call(this, act && ((event) => told.then(() => act(event)))); } };
if (location.search)
  Object.defineProperties(WebSocket.prototype, { onopen: open, onmessage: { set() {} } });
"""
)

#: Wraps the page's sockets: one is cut, an event is lost, one comes twice, the network goes away.
FAULTS = (
    ALONE
    + """
window.faults = {
  Once(socket, event) { event.stopImmediatePropagation(); socket.close(); },
  upon(socket, event) { event.stopImmediatePropagation(); },
  time(socket, event) { socket.dispatchEvent(new MessageEvent("message", { data: event.data })); },
  the() { dispatchEvent(new Event("offline")); },
};
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", (event) => {
      const { delta = "" } = JSON.parse(event.data);
      const slice = Object.keys(faults).find((word) => delta.includes(word));
      if (!event.isTrusted || !slice) return;
      const fault = faults[slice];
      delete faults[slice];
      fault(this, event);
    });
  }
};
"""
)


async def test_no_character_is_lost_or_repeated_by_faults_of_the_connection(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node, before=FAULTS) as seen:
        turn = await seen.ask("One?")
        await worker.claim()
        worker.say(FENCE)
        for first, last in ((0, 1), (1, 4), (4, 7)):
            worker.say(*SLICES[first:last])
            # The next are written only when the page has caught up, so it must have resumed.
            await expect(turn.locator(".answer pre")).to_have_text("".join(SLICES[:last]))
        worker.end()

        assert await seen.becomes(turn, "completed") == "".join(SLICES)
        assert await seen.page.evaluate("Object.keys(faults)") == []
        seen.assert_nothing_went_wrong()


async def test_what_is_asked_offline_is_sent_by_another_tab_once(
    browser: Browser, node: str, worker: FakeWorker, redis_url: str
) -> None:
    async with visit(browser, node, before=ALONE) as seen:
        await seen.connection("connected")
        context = seen.page.context
        await context.set_offline(True)
        await seen.connection("offline")
        await seen.page.get_by_label("Your message").fill("One?")
        await seen.page.keyboard.press("Enter")
        turn = seen.page.locator(".turn")
        await expect(turn.locator(".note")).to_contain_text("Kept in this browser")
        # The tab is closed before there is a network again.
        page = await context.new_page()
        await seen.page.close()
        await context.set_offline(False)
        async with opened(page, node) as other:
            await page.get_by_role("link", name="One?").click()
            claimed = await worker.claim()
            assert [message.text for message in claimed.messages] == ["One?"]
            worker.say("Once.")
            worker.end()
            turn = page.locator(".turn")
            assert await other.becomes(turn, "completed") == "Once."
            assert await turn.get_attribute("data-response") == claimed.id
            assert worker.queue.claim(1) is None

            # And an answer that ended while the page was offline is read, its events gone or not.
            turn = await other.ask("Two?")
            claimed = await worker.claim()
            worker.say("Half")
            await other.becomes(turn, "writing")
            await context.set_offline(True)
            await other.connection("offline")
            await expect(turn.locator(".note")).to_contain_text("goes on")
            worker.say(" and half")
            worker.end()
            with connect(redis_url) as client:
                client.delete(keys.log(claimed.id))
            await context.set_offline(False)
            await other.connection("connected")
            assert await other.becomes(turn, "completed") == "Half and half"
            other.assert_nothing_went_wrong()


async def test_a_reload_in_mid_answer_and_a_second_tab_show_each_word_once(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as first:
        tab = first.page
        turn = await first.ask("One?")
        await worker.claim()
        worker.say(FENCE, *SLICES[:3])
        await first.becomes(turn, "writing")
        await tab.get_by_label("Your message").fill("Not sent yet")

        await tab.reload()
        await expect(turn.locator(".answer pre")).to_have_text("".join(SLICES[:3]))
        await expect(turn.locator(".question")).to_have_text("One?")
        await expect(tab.get_by_label("Your message")).to_have_value("Not sent yet")

        async with await tab.context.new_page() as page, opened(page, tab.url) as second:
            mirror = second.page.locator(".turn")
            await expect(mirror.locator(".answer pre")).to_have_text("".join(SLICES[:3]))
            worker.say(*SLICES[3:])
            for seen, shown in ((first, turn), (second, mirror)):
                await expect(shown.locator(".answer pre")).to_have_text("".join(SLICES))
                assert seen.errors == []
            await second.page.get_by_role("button", name="Stop").click()
            await worker.cancelled()
            worker.end("cancelled")
            for seen, shown in ((first, turn), (second, mirror)):
                assert await seen.becomes(shown, "cancelled") == "".join(SLICES)

            # What one tab asks, the other shows.
            await second.ask("Two?")
            await worker.claim()
            worker.say("Two.")
            worker.end()
            assert await first.becomes(tab.locator(".turn").last, "completed") == "Two."
        first.assert_nothing_went_wrong()


async def test_a_tab_that_is_late_takes_nothing_back_of_what_another_knows(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node, before=LATE) as first:
        turns = first.page.locator(".turn")
        turn = await first.ask("One?")
        await worker.claim()
        worker.say("One.")
        worker.end()
        await first.ends(turn)
        late = await first.page.context.new_page()
        await late.goto(first.page.url.replace("/#", "/?late#"))
        await expect(late.locator(".answer")).to_have_text("One.")
        await first.ask("Two?")
        # It asks the second question as well, since it learns of it before there is an answer.
        await expect(late.locator(".turn")).to_have_count(2)
        await worker.claim()
        worker.say("Two.")
        worker.end()
        await first.becomes(turns.last, "completed")

        await late.evaluate("go()")

        await late.locator('.turn[data-state="sent"]').wait_for()
        turn = await first.ask("Three?")
        texts = [message.text for message in (await worker.claim()).messages]
        assert texts == ["One?", "One.", "Two?", "Two.", "Three?"]
        await expect(turns.locator(".note")).to_have_text(["", "", "Thinking"])


async def test_another_device_goes_on_with_an_answer_by_its_link(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as first:
        tab = first.page
        for text in ("One?", "Two?"):
            turn = await first.ask(text)
            await worker.claim()
            worker.say(f"{text[:-1]} and")
            if text == "One?":
                worker.end()
                await first.ends(turn)
        await first.becomes(turn, "writing")
        await tab.get_by_role("button", name="Link").click()
        link = await tab.get_by_label("Link to this conversation").input_value()
        await tab.keyboard.press("Escape")

        async with visit(browser, link, alone=True) as device:
            shown = device.page.locator(".turn")
            await expect(shown.locator(".question")).to_have_text(["One?", "Two?"])
            await expect(shown.locator(".answer")).to_have_text(["One and", "Two and"])
            worker.say(" three")
            worker.end()
            assert await device.becomes(shown.last, "completed") == "Two and three"
            assert await first.becomes(turn, "completed") == "Two and three"
            await expect(device.page.locator("#conversations a")).to_have_text(["One?"])
            device.assert_nothing_went_wrong()


async def test_a_server_that_is_full_or_restarts_says_so_and_answers_later(
    browser: Browser, worker: FakeWorker, redis_url: str, tmp_path: Path
) -> None:
    # Random, since sockets compress what they send.
    large, go_on = random.randbytes(40_000).hex(), asyncio.Event()

    async def half() -> AsyncIterator[str]:
        yield large
        await go_on.wait()
        yield large

    with ExitStack() as server:
        url = server.enter_context(serving(redis_url, tmp_path, TURNSTREAM_NODE_BYTES="100000"))
        async with (
            visit(browser, url, before=ALONE) as seen,
            connect_socket(socket_url(url)) as other,
        ):
            page = seen.page
            chip, note = page.locator("#connection"), page.locator(".note")
            await seen.connection("connected")
            arriving = asyncio.create_task(other.send(half()))
            await page.get_by_label("Your message").fill(large)
            await page.keyboard.press("Enter")

            await expect(chip).to_have_text(re.compile(r"server full, reconnecting in \d s"))
            await expect(note).to_contain_text("The server is full at the moment. Kept in this")
            go_on.set()
            await arriving
            await page.evaluate("dispatchEvent(new Event('pageshow'))")
            assert [message.text for message in (await worker.claim()).messages] == [large]
            worker.say("Half")
            await seen.becomes(page.locator(".turn"), "writing")

            # It is said until the next attempt, which may come at once.
            await page.evaluate(LISTEN)
            await asyncio.to_thread(server.close)
            await seen.connection("reconnecting")
            said = await page.evaluate("said")
            assert any(words.startswith("server restarting, reconnecting") for words in said), said
            assert any("The server is restarting. The answer goes on" in words for words in said)


async def test_a_frozen_tab_catches_up(browser: Browser, node: str, worker: FakeWorker) -> None:
    async with visit(browser, node) as seen:
        tab = seen.page
        turn = await seen.ask("One?")
        await worker.claim()
        worker.say("Half")
        await seen.becomes(turn, "writing")
        devtools = await tab.context.new_cdp_session(tab)
        await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        worker.say(" and half")
        worker.end()
        await devtools.send("Page.setWebLifecycleState", {"state": "active"})

        assert await seen.becomes(turn, "completed") == "Half and half"
        seen.assert_nothing_went_wrong()
