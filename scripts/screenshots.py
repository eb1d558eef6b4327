"""Takes the pictures of the page in docs/images/, from the real service with the demo model.

python -m scripts.screenshots

It starts a service of its own, with a single slot so that turns wait, and cuts the connection for
the picture of a lost one. The pictures are WebP, at most 60 kB each.
"""

import asyncio
import base64
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from playwright.async_api import Browser, Locator, Page, async_playwright

from benchmarks.processes import end_on_sigterm
from harness.chromium import find_chromium
from harness.proxy import Proxy
from harness.service import Service

FOLDER = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 60_000
DESKTOP, PHONE = (1200, 760), (390, 760)
STORY = "Tell me a story about a dragon."
#: They fill the list at the side, and let the server learn how long a turn takes.
BEFORE = ("Do you know the Titanic movie?", "Name the planets.", "What is the capital of Japan?")
TIMEOUT_MS = 120_000


class Pictures:
    """Opens tabs of one person, who has several conversations, and takes pictures of them."""

    def __init__(self, browser: Browser, url: str, tabs: AsyncExitStack) -> None:
        self._browser = browser
        self._url = url
        self._tabs = tabs

    async def person(self, scheme: str, size: tuple[int, int] = DESKTOP) -> Page:
        """Return the page of somebody who has asked a few things before."""
        context = await self._tabs.enter_async_context(
            await self._browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
                has_touch=size == PHONE,
                is_mobile=size == PHONE,
            )
        )
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        await page.goto(self._url)
        for text in BEFORE:
            await ended(await ask(page, text))
            await page.evaluate("location.hash = ''")
            await page.locator("#welcome").wait_for()
        await ended(await ask(page, "What is turnstream?"))
        return page

    async def take(self, page: Page, name: str) -> None:
        """Write one picture."""
        devtools = await page.context.new_cdp_session(page)
        for quality in (90, 80, 70, 60, 50):
            options = {"format": "webp", "quality": quality}
            shot = await devtools.send("Page.captureScreenshot", options)
            content = base64.b64decode(shot["data"])
            if len(content) <= MOST_BYTES:
                break
        (FOLDER / f"page-{name}.webp").write_bytes(content)
        print(f"page-{name}.webp: {len(content)} bytes")


async def ask(page: Page, text: str) -> Locator:
    """Ask and return the turn."""
    await page.locator('#connection[data-state="connected"]').wait_for(state="attached")
    await page.get_by_role("button", name="Send").wait_for()
    turn = page.locator(".turn").nth(await page.locator(".turn").count())
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")
    await turn.wait_for()
    return turn


async def ended(turn: Locator) -> None:
    """Wait until an answer is whole."""
    await turn.and_(turn.page.locator('[aria-busy="false"]')).wait_for()


async def written(turn: Locator, words: str) -> None:
    """Wait until an answer has these words."""
    await turn.locator(".answer", has_text=words).wait_for()


async def take_all(browser: Browser, service: Service) -> None:
    """Take every picture."""
    async with AsyncExitStack() as tabs:
        proxy = await tabs.enter_async_context(Proxy(int(service.url.rpartition(":")[2])))
        pictures = Pictures(browser, f"http://127.0.0.1:{proxy.port}", tabs)
        for name, size in (("light", DESKTOP), ("dark", DESKTOP), ("phone", PHONE)):
            page = await pictures.person(name, size)
            turn = await ask(page, STORY)
            await written(turn, "little girl" if size == DESKTOP else "Ember")
            await pictures.take(page, name)
            await ended(turn)

        page = await pictures.person("light")
        async with httpx2.AsyncClient(base_url=service.url) as http:
            for _ in range(4):
                await http.post("/v1/responses", json={"input": STORY, "background": True})
        turn = await ask(page, STORY)
        await turn.locator(".queue", has_text="about").wait_for()
        # The bar has moved a little.
        await turn.locator(".queue", has_text="Number 3").wait_for()
        await asyncio.sleep(2)
        await pictures.take(page, "queue")
        await written(turn, "little girl")

        proxy.refusing = True
        proxy.cut()
        await turn.locator(".note", has_text="goes on").wait_for()
        # Each attempt is a moment of "connecting"; from here on the next one is seconds away.
        await page.locator("#connection", has_text="reconnecting in 3 s").wait_for()
        await pictures.take(page, "reconnecting")
        proxy.refusing = False
        await ended(turn)


async def main() -> None:
    """Start the service and take the pictures."""
    end_on_sigterm()
    with (
        TemporaryDirectory() as directory,
        Service(Path(directory), environ={"TURNSTREAM_SLOTS": "1"}) as service,
    ):
        async with async_playwright() as playwright:
            options = ["--no-sandbox", "--disable-gpu"]
            program = find_chromium()
            browser = await playwright.chromium.launch(executable_path=program, args=options)
            await take_all(browser, service)
            await browser.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
