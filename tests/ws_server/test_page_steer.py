"""What is typed while an answer is written goes into the next one, once, or comes back."""

from playwright.async_api import Browser, expect

from tests.browser import visit
from tests.ws_server.fake_worker import FakeWorker

#: A tab's own socket, which Playwright can take offline.
ALONE = "delete window.SharedWorker;"


async def test_what_is_typed_while_an_answer_is_written_is_answered_next(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab, turns = opened.page, opened.page.locator(".turn")
        field = tab.get_by_label("Your message")
        first = await opened.ask("One?")
        await worker.claim()
        worker.say("Once")
        await opened.becomes(first, "writing")

        await field.fill("Two?")
        await expect(tab.get_by_role("button", name="Stop")).to_be_visible()
        await tab.get_by_role("button", name="Steer").click()
        await expect(field).to_have_value("")
        await expect(first.locator(".added")).to_have_text("Two?")
        await worker.steered()

        claimed = await worker.claim()
        assert [m.text for m in claimed.messages] == ["One?", "Once", "Two?"]
        await expect(turns).to_have_count(2)
        await expect(first.locator(".added")).to_have_text("")
        await expect(first.locator(".note")).to_contain_text("Goes on below")
        await expect(turns.last.locator(".question")).to_have_text("Two?")
        worker.say("Twice")
        await opened.becomes(turns.last, "writing")
        # Found again after a reload, and continued by what is asked next.
        await tab.reload()
        await expect(turns.locator(".answer")).to_have_text(["Once", "Twice"])
        worker.end()
        assert await opened.becomes(turns.last, "completed") == "Twice"
        await opened.ask("Three?")
        texts = [m.text for m in (await worker.claim()).messages]
        assert texts == ["One?", "Once", "Two?", "Twice", "Three?"]
        opened.assert_nothing_went_wrong()


async def test_what_was_added_comes_back_if_the_answer_is_stopped(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        field = tab.get_by_label("Your message")
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("Once")
        await opened.becomes(turn, "writing")
        await field.fill("Two?")
        await tab.keyboard.press("Enter")
        await expect(turn.locator(".added")).to_have_text("Two?")
        await tab.keyboard.press("Escape")
        await worker.cancelled()
        worker.end("cancelled")

        await opened.becomes(turn, "cancelled")
        await expect(field).to_have_value("Two?")
        await expect(turn.locator(".added")).to_have_text("")
        opened.assert_nothing_went_wrong()


async def test_what_was_added_offline_is_kept_and_asked_once_whether_the_answer_has_ended_or_not(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    for ended in (False, True):
        async with visit(browser, node, before=ALONE) as opened:
            tab, turns = opened.page, opened.page.locator(".turn")
            first = await opened.ask("One?")
            await worker.claim()
            worker.say("Once")
            await opened.becomes(first, "writing")
            await tab.context.set_offline(True)
            await opened.connection("offline")
            await tab.get_by_label("Your message").fill("Two?")
            await tab.keyboard.press("Enter")
            await expect(first.locator(".added")).to_have_text("Two?")
            if ended:
                worker.end()
            await tab.context.set_offline(False)
            if not ended:
                await worker.steered()

            claimed = await worker.claim()
            assert [m.text for m in claimed.messages] == ["One?", "Once", "Two?"]
            worker.say("Twice")
            worker.end()
            await expect(turns).to_have_count(2)
            assert await opened.becomes(turns.last, "completed") == "Twice"
            await expect(turns.last.locator(".question")).to_have_text("Two?")
            await expect(first.locator(".added")).to_have_text("")
            assert worker.queue.claim(1) is None
