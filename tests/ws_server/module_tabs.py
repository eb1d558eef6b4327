"""Tabs of a browser that use clients/js, without the page that is built on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page

from tests.browser import PATIENCE_MS

PATIENCE_SECONDS = 30
#: Opens a client, from the module that is named.
CONNECT = """async ([module, options]) => {
  const { connect } = await import(`/static/turnstream/${module}.js`);
  const { indexedDBStorage, webStorage } = await import("/static/turnstream/index.js");
  const storage = options.area ? webStorage(window[options.area]) : indexedDBStorage();
  window.client = connect({ url: location.origin, storage, ...options });
  window.turn = null;
}"""
#: Keeps what the server says of a restart.
LISTEN = """() => {
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        window.told ??= JSON.parse(data).retry_after_ms;
      });
    }
  };
}"""
#: Keeps how long the client means to wait before it connects again, and the turn that runs.
NOTE_WAITS = """(
  window.first = turn,
  window.waits = [],
  client.subscribe(() => client.state === "waiting" && waits.push(client.retryAt - Date.now())),
  null
)"""

#: Counts how often the shared worker is opened.
COUNT_WORKERS = """() => {
  window.workers = 0;
  window.SharedWorker = class extends SharedWorker {
    constructor(...args) {
      super(...args);
      window.workers++;
    }
  };
}"""


class Tab:
    """A page with a client."""

    def __init__(self, page: Page) -> None:
        self.page = page
        #: WebSockets of the page itself; a worker's are not among them.
        self.sockets = 0

    async def connect(self, module: str = "index", **options: Any) -> None:
        await self.page.evaluate(CONNECT, [module, options])

    async def ask(self, text: str, **options: Any) -> None:
        await self.do("(turn = client.create({ input: args[0] }, args[1]), null)", text, options)

    async def do(self, expression: str, *args: Any) -> Any:
        return await self.page.evaluate(f"async (args) => {expression}", list(args))

    async def until(self, expression: str) -> None:
        # Not by `wait_for_function`, whose `eval` the policy forbids.
        pause = "new Promise((go) => setTimeout(go, 20))"
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.page.evaluate(f"async () => {{ while (!({expression})) await {pause}; }}")


@asynccontextmanager
async def tabs(browser: Browser, url: str, number: int = 1) -> AsyncIterator[list[Tab]]:
    """Open tabs of one browser context at the node's origin."""
    async with await browser.new_context() as context:
        yield [await open_tab(context, url) for _ in range(number)]


async def open_tab(context: BrowserContext, url: str) -> Tab:
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    tab = Tab(page)

    def opened(_: object) -> None:
        tab.sockets += 1

    page.on("websocket", opened)
    await page.route("**/static/*.js", lambda route: route.abort())
    await page.goto(url)
    return tab
