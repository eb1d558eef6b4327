"""The page loses no character and submits no turn twice, whatever happens to its socket."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser import SLICES, visit
from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns import keys
from turnstream.turns.connection import connect

#: Wraps the page's sockets: a test decides what happens to the fourth slice of an answer.
AT_THE_FOURTH_SLICE = """
let slices = 0;
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", (event) => {
      if (!event.isTrusted || !event.data.includes('"response.output_text.delta"')) return;
      if (++slices === 4) { %s }
    });
  }
};
"""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("event.stopImmediatePropagation(); this.close();", id="the socket is cut"),
        pytest.param("event.stopImmediatePropagation();", id="an event is lost"),
        pytest.param(
            "this.dispatchEvent(new MessageEvent('message', { data: event.data }));",
            id="an event comes twice",
        ),
        pytest.param("dispatchEvent(new Event('offline'));", id="the network goes away"),
        pytest.param(
            """this.dispatchEvent(new MessageEvent("message", {
              data: '{"type":"turnstream:server.draining","retry_after_ms":5}' }));""",
            id="the server says something of its own",
        ),
    ],
)
async def test_no_character_is_lost_or_repeated_when(
    browser: Browser, node: str, worker: FakeWorker, fault: str
) -> None:
    async with visit(browser, node, before=AT_THE_FOURTH_SLICE % fault) as opened:
        turn = await opened.ask("One?")
        await worker.claim()
        for text in SLICES[:5]:
            worker.say(text)
        # The rest is written only when the page has caught up, so it must have resumed.
        await expect(turn.locator(".answer")).to_have_text("".join(SLICES[:5]))
        worker.say(*SLICES[5:])
        worker.end()

        assert await opened.becomes(turn, "completed") == "".join(SLICES)

        again = await opened.ask("Two?")
        await worker.claim()
        worker.say("Still here.")
        worker.end()
        assert await opened.becomes(again, "completed") == "Still here."
        opened.assert_nothing_went_wrong()


#: Wraps the page's sockets: a test decides what happens to the first frame that is sent.
AT_THE_FIRST_TURN = """
let turns = 0;
window.WebSocket = class extends WebSocket {
  send(text) {
    if (++turns === 1) { %s } else super.send(text);
  }
};
"""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("this.close();", id="before it was sent"),
        pytest.param("super.send(text); this.close();", id="after it was sent"),
        pytest.param(
            "super.send(text); setTimeout(() => this.close(), 0); this.onmessage = null;",
            id="before the page heard of it",
        ),
    ],
)
async def test_a_turn_whose_socket_is_lost_is_submitted_once(
    browser: Browser, node: str, worker: FakeWorker, fault: str
) -> None:
    async with visit(browser, node, before=AT_THE_FIRST_TURN % fault) as opened:
        turn = await opened.ask("One?")
        claimed = await worker.claim()
        worker.say("Once.")
        worker.end()

        assert await opened.becomes(turn, "completed") == "Once."
        assert await turn.get_attribute("data-response") == claimed.id
        assert worker.queue.claim(1) is None
        opened.assert_nothing_went_wrong()


async def test_a_page_without_a_network_shows_it_and_reconnects(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("Half")
        await opened.becomes(turn, "writing")

        await opened.page.context.set_offline(True)
        await opened.connection("offline")
        worker.say(" and half")
        worker.end()
        await opened.page.context.set_offline(False)

        await opened.connection("connected")
        assert await opened.becomes(turn, "completed") == "Half and half"


async def test_an_answer_whose_events_expired_is_still_shown_whole(
    browser: Browser, node: str, worker: FakeWorker, redis_url: str
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        claimed = await worker.claim()
        worker.say("Half")
        await opened.becomes(turn, "writing")
        await opened.page.context.set_offline(True)
        await opened.connection("offline")
        worker.say(" and half")
        worker.end()
        with connect(redis_url) as client:
            client.delete(keys.log(claimed.id))
        await opened.page.context.set_offline(False)

        assert await opened.becomes(turn, "completed") == "Half and half"
