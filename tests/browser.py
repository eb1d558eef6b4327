"""Opens the page in a real Chromium and records errors and requests that a person would not see.

One Chromium, one Playwright driver and one browser context serve all tests of a process (fixture
`browser`), since starting each costs more than most tests; a visit has a tab of its own, and all
that the page stores is stored for its tab. Playwright's objects belong to one event loop, so tests
that use `browser` run in the session's (conftest.py).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from harness.chromium import NoBrowser, find_chromium

#: Timeout of each wait, for a busy machine.
PATIENCE_MS = 60_000

#: Text that a page could change by mistake: spaces, line ends, markup and surrogate pairs.
SLICES = ("Once", "  upon\n", "\n a <b>time</b>", " & 😀", "e\u0301", " the", " end. ")

_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True)
class Visit:
    """An open tab with the page."""

    page: Page
    #: What the console calls an error, and errors that nobody caught.
    errors: list[str] = field(default_factory=list)
    #: The host and port of every request.
    hosts: set[str] = field(default_factory=set)

    async def ask(self, text: str) -> Locator:
        """Send a message, once connected, and return its turn."""
        await self.connection("connected")
        turns = self.page.locator(".turn")
        turn = turns.nth(await turns.count())
        await self.page.get_by_label("Your message").fill(text)
        await self.page.keyboard.press("Enter")
        await turn.wait_for()
        return turn

    async def becomes(self, turn: Locator, state: str) -> str:
        """Wait until a turn has a state and return the text of its answer."""
        await turn.and_(self.page.locator(f'[data-state="{state}"]')).wait_for()
        return await answer(turn)

    async def ends(self, turn: Locator) -> str:
        """Wait until a turn has ended and return the text of its answer."""
        await turn.and_(self.page.locator('[aria-busy="false"]')).wait_for()
        return await answer(turn)

    async def connection(self, state: str) -> None:
        """Wait until the page shows this state of its connection."""
        await self.page.locator(f'#connection[data-state="{state}"]').wait_for()

    def assert_nothing_went_wrong(self) -> None:
        """Assert that there was no error, and no request to a host other than the page's."""
        assert self.errors == [], self.errors
        assert self.hosts == {urlsplit(self.page.url).netloc}, self.hosts


async def answer(turn: Locator) -> str:
    """Return the text of a turn's answer, trailing spaces included."""
    return await turn.locator(".answer").text_content() or ""


def chromium() -> str:
    """Return the browser's path, or skip the test: fail it with CI=true."""
    try:
        return find_chromium()
    except NoBrowser as exc:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(str(exc))


@asynccontextmanager
async def launch() -> AsyncIterator[Browser]:
    """Start a browser; close it at the end."""
    program = chromium()
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        # While a tab is open, the next one needs no process of its own.
        await (await browser.new_context()).new_page()
        yield browser
        await browser.close()


@asynccontextmanager
async def visit(browser: Browser, url: str, *, before: str = "") -> AsyncIterator[Visit]:
    """Open the page in a new tab, which shares nothing but the cache with other visits.

    Args:
        before: JavaScript to run in the tab before the page's own.
    """
    [context] = browser.contexts
    async with await context.new_page() as page:
        page.set_default_timeout(PATIENCE_MS)
        opened = Visit(page)
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.on("console", lambda m: opened.errors.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: opened.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda socket: opened.hosts.add(urlsplit(socket.url).netloc))
        if before:
            await page.add_init_script(before)
        await page.goto(url)
        try:
            yield opened
        finally:
            await context.set_offline(False)
