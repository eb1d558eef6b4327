"""Everybody can use the page: by keyboard alone, with a screen reader, on a phone, in the dark."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import Visit, visit
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.test_page_markdown import MARKDOWN

#: What axe-core has found, in words.
AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" "));
}"""


@pytest.fixture(scope="session")
def axe(node_modules: Path) -> str:
    """Give the source of axe-core."""
    return (node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


async def found(tab: Page, axe: str) -> Any:
    """Return what axe-core finds on the page as it is now."""
    devtools = await tab.context.new_cdp_session(tab)
    # The page's policy lets no script in; a debugger is not bound by it.
    await devtools.send("Runtime.evaluate", {"expression": axe})
    await devtools.detach()
    return await tab.evaluate(AXE)


async def answered(opened: Visit, worker: FakeWorker, text: str) -> None:
    """Have one turn answered."""
    turn = await opened.ask("One?")
    await worker.claim()
    worker.say(text)
    worker.end()
    await opened.ends(turn)


async def test_axe_finds_nothing_in_the_light_and_in_the_dark(
    browser: Browser, node: str, worker: FakeWorker, axe: str
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        await tab.emulate_media(color_scheme="light", reduced_motion="reduce")
        await opened.connection("connected")
        assert await found(tab, axe) == []
        await answered(opened, worker, MARKDOWN)
        await tab.get_by_role("button", name="Options").click()
        waiting = await opened.ask("Two?")
        await opened.becomes(waiting, "queued")
        await tab.get_by_label("Your message").fill("Three?")
        await tab.get_by_role("button", name="Steer").wait_for()
        await tab.get_by_role("button", name="Edit the question").first.click()
        assert await found(tab, axe) == []
        await tab.emulate_media(color_scheme="dark")
        assert await found(tab, axe) == []
        await tab.get_by_role("button", name="Link").click()
        assert await found(tab, axe) == []


async def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, node: str, worker: FakeWorker, axe: str
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        await tab.set_viewport_size({"width": 390, "height": 700})
        await answered(opened, worker, MARKDOWN)
        wide = "() => document.querySelector('main').scrollWidth > innerWidth"
        assert not await tab.evaluate(wide)
        await expect(tab.get_by_label("Search conversations")).to_be_hidden()
        await tab.get_by_role("button", name="Conversations").click()
        await expect(tab.get_by_role("button", name="New conversation")).to_be_focused()
        assert await found(tab, axe) == []
        await tab.keyboard.press("Escape")
        await expect(tab.get_by_label("Search conversations")).to_be_hidden()
        await tab.emulate_media(media="print")
        await expect(tab.locator("#composer")).to_be_hidden()
        await expect(tab.locator(".answer")).to_be_visible()
        await tab.emulate_media(media="screen")
        # With an on-screen keyboard as well, the composer is in view.
        await tab.set_viewport_size({"width": 390, "height": 380})
        await expect(tab.get_by_label("Your message")).to_be_in_viewport(ratio=1)


async def test_everything_can_be_done_by_keyboard(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async def focus(name: str) -> None:
        """Go forward by the tabulator until an element of this name has the focus."""
        for _ in range(40):
            await tab.keyboard.press("Tab")
            label = """() => {
              const at = document.activeElement;
              return at === document.body ? "" : (at.ariaLabel ?? at.textContent);
            }"""
            if name in (await tab.evaluate(label) or ""):
                return
        raise AssertionError(f"nothing called {name} can be reached")

    async with visit(browser, node) as opened:
        tab = opened.page
        box = tab.get_by_label("Your message")
        await expect(box).to_be_focused()
        await opened.connection("connected")
        await tab.keyboard.press("Enter")
        await tab.keyboard.type("two")
        await tab.keyboard.press("Shift+Enter")
        await tab.keyboard.type("lines")
        assert await tab.locator(".turn").count() == 0
        await tab.keyboard.press("Enter")
        assert [m.text for m in (await worker.claim()).messages] == ["two\nlines"]
        await expect(box).to_have_value("")
        worker.say("One.")
        worker.end()
        turn = tab.locator(".turn")
        await opened.ends(turn)

        # Edit: a sibling, which is shown in its place.
        await tab.keyboard.press("ArrowUp")
        await expect(tab.get_by_label("Edited question")).to_be_focused()
        await tab.keyboard.press("ControlOrMeta+a")
        await tab.keyboard.type("edited")
        await tab.keyboard.press("Enter")
        assert [m.text for m in (await worker.claim()).messages] == ["edited"]
        worker.say("Two.")
        worker.end()
        await expect(turn.locator(".answer")).to_have_text("Two.")
        await opened.ends(turn)
        await expect(box).to_be_focused()

        # Step back to the first, and ask again there.
        await focus("Skip to your message")
        await focus("Previous version")
        await tab.keyboard.press("Enter")
        await expect(turn.locator(".answer")).to_have_text("One.")
        await focus("Try again")
        await tab.keyboard.press("Enter")
        assert [m.text for m in (await worker.claim()).messages] == ["two\nlines"]
        await expect(turn.locator(".step")).to_contain_text("3 / 3")
        await tab.keyboard.press("Escape")
        await opened.becomes(turn, "thinking")

        # Rename at the side.
        await focus("Skip to your message")
        await focus("Rename")
        await tab.keyboard.press("Enter")
        await tab.keyboard.type("Renamed")
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#conversations a")).to_contain_text("Renamed")
        await focus("Skip to your message")
        await tab.keyboard.press("Enter")
        await expect(box).to_be_focused()
        opened.assert_nothing_went_wrong()
