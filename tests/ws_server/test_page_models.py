"""What the page lets people choose for a conversation: its model, system text and temperature."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser import visit
from tests.ws_server.fake_worker import MODEL, FakeWorker
from turnstream.turns.connection import connect
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings


@pytest.fixture
def other(redis_url: str) -> Iterator[FakeWorker]:
    """A worker of another model, whose name sorts before the default one's."""
    settings = TurnSettings(redis_url=redis_url)
    client = connect(redis_url)
    yield FakeWorker(
        TurnQueue(client, settings, model="another", worker="w0"),
        Log(client, settings, worker="w0"),
    )
    client.close()


async def test_the_page_asks_with_what_was_chosen_and_offers_no_choice_of_one_model(
    browser: Browser, node: str, worker: FakeWorker, other: FakeWorker
) -> None:
    worker.heartbeat()
    async with visit(browser, node) as opened:
        tab = opened.page
        await opened.ask("Who are you?")
        claimed = await worker.claim()
        assert claimed.request.sampling.temperature == 1.0
        worker.say("A model.")
        worker.end()
        picker = tab.get_by_label("Model")
        await expect(picker).to_be_hidden()

        other.heartbeat()
        await tab.reload()
        await expect(picker).to_have_value(MODEL)
        assert await picker.locator("option").all_text_contents() == [MODEL, "another"]
        await picker.select_option("another")
        await tab.get_by_role("button", name="Options").click()
        await tab.get_by_label("System text").fill("Be brief.")
        await tab.get_by_role("slider").fill("0.3")
        await tab.keyboard.press("Escape")
        await expect(tab.get_by_label("System text")).to_be_hidden()
        turn = await opened.ask("And you?")
        claimed = await other.claim()
        other.say("Another one.")
        other.end()

        assert await opened.becomes(turn, "completed") == "Another one."
        assert claimed.request.sampling.temperature == 0.3
        assert claimed.request.instructions == "Be brief."
        # They hold for this conversation, after a reload too.
        await tab.reload()
        await expect(picker).to_have_value("another")
        await expect(tab.get_by_label("System text")).to_have_value("Be brief.")
        opened.assert_nothing_went_wrong()
