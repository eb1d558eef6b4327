"""What is added to a turn by turnstream.js in a real browser; the test plays the worker."""

from playwright.async_api import Browser

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.test_turnstream_js import tabs


async def test_a_steer_that_was_not_sent_is_restored_after_a_reload_and_has_one_successor(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with tabs(browser, node) as [tab]:
        await tab.connect()
        await tab.ask("One?", idempotencyKey="steered")
        await worker.claim()
        worker.say("Once")
        await tab.until("turn.text === 'Once'")
        # The page is left before it could be sent.
        await tab.do("(WebSocket.prototype.send = () => {}, turn.steer('Two?'), null)")

        await tab.page.reload()
        await tab.connect()
        await tab.do("([turn] = await client.restore(), null)")
        await tab.until("turn.steers[0]?.state === 'accepted'")
        await worker.steered()
        claimed = await worker.claim()
        assert [m.text for m in claimed.messages] == ["One?", "Once", "Two?"]
        worker.say("Twice")
        await tab.until("turn.ended && turn.successor.text === 'Twice'")
        # It has taken the place of the turn in the outbox.
        await tab.page.reload()
        await tab.connect()
        await tab.do("([turn] = await client.restore(), null)")
        worker.say(" more")
        worker.end()
        await tab.until("turn.ended && turn.text === 'Twice more'")
        assert await tab.do("turn.id") == claimed.id
        assert await tab.do("client.restore()") == []
        assert worker.queue.claim(1) is None
