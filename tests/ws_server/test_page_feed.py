"""Two devices that have a conversation open show the same, whichever asks, steers or deletes."""

from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser import Visit, visit
from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns.feed_shapes import number_of

#: Returns the records of conversations that the page keeps.
RECORDS = """() => new Promise((resolve) => {
  indexedDB.open("turnstream-conversations").onsuccess = ({ target: { result } }) => {
    const got = result.transaction("conversations").objectStore("conversations").getAll();
    got.onsuccess = () => { result.close(); resolve(got.result); };
  };
})"""


async def record(tab: Page) -> Any:
    """Return the record of the only conversation."""
    [found] = await tab.evaluate(RECORDS)
    return found


async def link_of(opened: Visit) -> str:
    tab = opened.page
    await tab.get_by_role("button", name="Link").click()
    link = await tab.get_by_label("Link to this conversation").input_value()
    await tab.keyboard.press("Escape")
    return link


async def test_what_one_device_asks_another_shows_as_it_is_answered(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as first:
        turns = first.page.locator(".turn")
        turn = await first.ask("One?")
        await worker.claim()
        worker.say("Once")
        worker.end()
        await first.ends(turn)
        async with visit(browser, await link_of(first), alone=True) as device:
            mirrored = device.page.locator(".turn")
            await device.becomes(mirrored, "completed")

            # Asked there, and shown here while it is written.
            await device.ask("Two?")
            await worker.claim()
            worker.say("Twice")
            await expect(turns.locator(".question")).to_have_text(["One?", "Two?"])
            assert await first.becomes(turns.last, "writing") == "Twice"
            # Steered here, and shown there.
            await first.page.get_by_label("Your message").fill("Three?")
            await first.page.keyboard.press("Enter")
            await worker.steered()
            await worker.claim()
            worker.say("Thrice")
            worker.end()
            for seen, every in ((first, turns), (device, mirrored)):
                await expect(every).to_have_count(3)
                assert await seen.becomes(every.last, "completed") == "Thrice"
                await expect(every.locator(".question")).to_have_text(["One?", "Two?", "Three?"])

            # Another answer is a version there as well; the numbers go on after a reload.
            read = (await record(device.page))["feeds"]
            await turns.last.get_by_role("button", name="Try again").click()
            await worker.claim()
            worker.say("Four times")
            worker.end()
            await expect(mirrored.last.locator(".step")).to_have_text("‹1 / 2›")
            await device.page.reload()
            await expect(mirrored.last.locator(".step")).to_have_text("‹1 / 2›")
            [(root, cursor)] = (await record(device.page))["feeds"].items()
            assert number_of(cursor) > number_of(read[root]) > 0
            for seen in (first, device):
                kept = await record(seen.page)
                assert len({each["id"] for each in kept["turns"]}) == len(kept["turns"]) == 4

            # Deleted there, it is gone here.
            await device.page.get_by_role("button", name="Delete").first.click()
            await device.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            await expect(first.page.locator("#conversations li")).to_have_count(0)
            await expect(turns).to_have_count(0)
