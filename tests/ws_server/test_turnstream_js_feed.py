"""clients/js in a real browser: a conversation that several tabs follow."""

import pytest
from playwright.async_api import Browser

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.module_tabs import tabs


@pytest.mark.long
async def test_tabs_follow_a_conversation_on_one_socket_and_a_closed_one_follows_no_more(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    follow = """(
      window.entries = [],
      window.feed = client.follow(args[0]),
      void (async () => { for await (const { type } of feed) entries.push(type.slice(24)); })(),
      null
    )"""
    made = "response.created,response.ended"
    async with tabs(browser, node, 2) as [first, second]:
        for tab in (first, second):
            await tab.connect("shared")
        id = (await first.do("client.http('conversations', { json: {} })"))["id"]
        for tab in (first, second):
            await tab.do(follow, id)
            await tab.until("entries.length === 1")
        for expected in (f"opened,{made}", f"opened,{made},{made}"):
            await first.do(
                "(turn = client.create({ input: 'One?', conversation: args[0] }), null)", id
            )
            await worker.claim()
            worker.say("Yes")
            worker.end()
            await second.until(f"entries.join() === '{expected}'")
            await first.do("(feed.close(), null)")

        assert await first.do("entries.join()") == f"opened,{made}"
        assert first.sockets == second.sockets == 0
        await first.do("client.http(args[0], { method: 'DELETE' })", f"conversations/{id}")
        await second.until("feed.ended && entries.at(-1) === 'deleted'")
