"""The page lets people choose a model where several are served."""

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


async def test_the_page_asks_the_model_that_was_chosen(
    browser: Browser, node: str, worker: FakeWorker, other: FakeWorker
) -> None:
    worker.heartbeat()
    other.heartbeat()
    async with visit(browser, node) as opened:
        picker = opened.page.get_by_label("Model")
        await expect(picker).to_have_value(MODEL)
        assert await picker.locator("option").all_text_contents() == [MODEL, "another"]

        await picker.select_option("another")
        turn = await opened.ask("Who are you?")
        await other.claim()
        other.say("Another one.")
        other.end()

        assert await opened.becomes(turn, "completed") == "Another one."
        opened.assert_nothing_went_wrong()


async def test_the_page_offers_no_choice_of_one_model(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    worker.heartbeat()
    async with visit(browser, node) as opened:
        await opened.ask("Who are you?")
        await worker.claim()
        await expect(opened.page.get_by_label("Model")).to_be_hidden()
