"""The page in a real browser, with a real node and a real Redis; the worker is played by hand.

By hand, because then an answer can wait half-way until the page has seen what a test is about.
"""

import asyncio
import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio
from playwright.async_api import expect

from tests.browser import Visit, visit
from tests.ws_server.clerk import Clerk
from tests.ws_server.conftest import serving
from turns import keys
from turns.response import error_json

ROOT = Path(__file__).parents[2]
MODEL = "tiny"
KEY = "let-me-in"

#: Text that a careless page would change: spaces, line ends, marks and letters of two code units.
SLICES = ("Once", "  upon\n", "\n a <b>time</b>", " & 😀", "e\u0301", " the", " end. ")


@pytest.fixture(scope="module")
def locked_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that lets in whoever has the key."""
    keys = f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}"
    directory = tmp_path_factory.mktemp("locked")
    with serving(redis_url, directory, TURNSTREAM_API_KEYS=keys) as url:
        yield url


def assert_nothing_went_wrong(opened: Visit, url: str) -> None:
    assert opened.errors == []
    assert opened.hosts == {url.removeprefix("http://")}


async def test_an_answer_is_shown_as_it_grows_and_kept_to_the_last_space(
    node: str, clerk: Clerk
) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("Tell me\na story.")
        claimed = await clerk.claim()
        assert [message.text for message in claimed.messages] == ["Tell me\na story."]
        await opened.becomes(turn, "thinking")

        clerk.say("Once")
        assert await opened.becomes(turn, "writing") == "Once"
        assert await turn.get_attribute("aria-busy") == "true"
        await expect(opened.page.locator("#announcement")).to_be_empty()
        clerk.say(*SLICES[1:])
        clerk.end()

        assert await opened.becomes(turn, "completed") == "".join(SLICES)
        assert await turn.get_attribute("aria-busy") == "false"
        assert await turn.locator(".answer b").count() == 0
        assert await opened.page.locator("#announcement").text_content() == "".join(SLICES).strip()
        assert_nothing_went_wrong(opened, node)


async def test_a_conversation_goes_on_until_a_new_one_is_begun(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        for text in ("One?", "Two?"):
            turn = await opened.ask(text)
            claimed = await clerk.claim()
            clerk.say(f"I heard {text}")
            clerk.end()
            await opened.becomes(turn, "completed")
        assert [m.text for m in claimed.messages] == ["One?", "I heard One?", "Two?"]

        await opened.page.get_by_role("button", name="New conversation").click()
        await opened.ask("Three?")

        assert [m.text for m in (await clerk.claim()).messages] == ["Three?"]
        assert await opened.page.locator(".turn").count() == 1


async def test_nothing_of_an_abandoned_answer_is_shown_in_the_next_conversation(
    node: str, clerk: Clerk
) -> None:
    async with visit(node) as opened:
        old = await opened.ask("Old?")
        await clerk.claim()
        clerk.say("old words ")
        await opened.becomes(old, "writing")
        await opened.page.get_by_role("button", name="New conversation").click()
        new = await opened.ask("New?")
        clerk.say("more old words")
        clerk.end("cancelled")

        assert [m.text for m in (await clerk.claim()).messages] == ["New?"]
        clerk.say("new words")
        clerk.end()

        assert await opened.becomes(new, "completed") == "new words"
        assert_nothing_went_wrong(opened, node)


async def test_a_waiting_turn_is_told_its_place_and_that_nobody_is_there(
    node: str, clerk: Clerk
) -> None:
    async with visit(node) as first, visit(node) as second:
        waiting = await first.ask("One?")
        await expect(waiting.locator(".note")).to_have_text(
            "Number 1 of 1 in line. No worker is here to answer yet; the place is kept."
        )
        clerk.beat()
        waiting = await second.ask("Two?")
        await expect(waiting.locator(".note")).to_have_text("Number 2 of 2 in line, 1 worker")


async def test_a_waiting_turn_is_told_how_long_once_that_is_known(
    node: str, clerk: Clerk, redis: "redis.asyncio.Redis"
) -> None:
    await redis.hset(keys.pace(MODEL), mapping={"turns:default": 1, "ms:default": 200_000})
    async with visit(node) as opened:
        clerk.beat()
        waiting = await opened.ask("One?")
        await expect(waiting.locator(".note")).to_have_text(
            "Number 1 of 1 in line, about 4 minutes"
        )


async def test_stop_ends_a_turn_that_still_waits(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        await opened.becomes(turn, "queued")

        await opened.page.get_by_role("button", name="Stop").click()

        assert await opened.becomes(turn, "cancelled") == ""
        await expect(turn.locator(".note")).to_have_text("Stopped")
        assert clerk.line.claim(1) is None
        assert_nothing_went_wrong(opened, node)


async def test_stop_keeps_what_was_said_by_then(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        claimed = await clerk.claim()
        clerk.say("So far")
        await opened.becomes(turn, "writing")

        await opened.page.keyboard.press("Escape")
        async with asyncio.timeout(20):
            while clerk.line.beat([(claimed.id, claimed.attempt)], {}, rows=4) != ["cancel"]:
                await asyncio.sleep(0.02)
        clerk.end("cancelled")

        assert await opened.becomes(turn, "cancelled") == "So far"
        await expect(turn.locator(".note")).to_have_text("Stopped")
        assert_nothing_went_wrong(opened, node)


#: Wraps the page's sockets: what happens to the fourth slice of an answer is up to a test.
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
async def test_no_character_is_lost_or_doubled_when(node: str, clerk: Clerk, fault: str) -> None:
    async with visit(node, before=AT_THE_FOURTH_SLICE % fault) as opened:
        turn = await opened.ask("One?")
        await clerk.claim()
        for text in SLICES[:5]:
            clerk.say(text)
        # The rest is said only when the page has caught up: it must have asked for it.
        await expect(turn.locator(".answer")).to_have_text("".join(SLICES[:5]))
        clerk.say(*SLICES[5:])
        clerk.end()

        assert await opened.becomes(turn, "completed") == "".join(SLICES)

        again = await opened.ask("Two?")
        await clerk.claim()
        clerk.say("Still here.")
        clerk.end()
        assert await opened.becomes(again, "completed") == "Still here."
        assert_nothing_went_wrong(opened, node)


#: Wraps the page's sockets: what happens to the first turn on its way out is up to a test.
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
async def test_a_turn_whose_socket_is_lost_is_asked_once(
    node: str, clerk: Clerk, fault: str
) -> None:
    async with visit(node, before=AT_THE_FIRST_TURN % fault) as opened:
        turn = await opened.ask("One?")
        claimed = await clerk.claim()
        clerk.say("Once.")
        clerk.end()

        assert await opened.becomes(turn, "completed") == "Once."
        assert await turn.get_attribute("data-response") == claimed.id
        assert clerk.line.claim(1) is None
        assert_nothing_went_wrong(opened, node)


async def test_a_page_without_a_network_says_so_and_comes_back(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        await clerk.claim()
        clerk.say("Half")
        await opened.becomes(turn, "writing")

        await opened.page.context.set_offline(True)
        await opened.connection("offline")
        clerk.say(" and half")
        clerk.end()
        await opened.page.context.set_offline(False)

        await opened.connection("connected")
        assert await opened.becomes(turn, "completed") == "Half and half"


async def test_an_answer_whose_events_are_gone_is_still_shown_whole(
    node: str, clerk: Clerk, redis: "redis.asyncio.Redis"
) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        claimed = await clerk.claim()
        clerk.say("Half")
        await opened.becomes(turn, "writing")
        await opened.page.context.set_offline(True)
        await opened.connection("offline")
        clerk.say(" and half")
        clerk.end()
        await redis.delete(keys.log(claimed.id))
        await opened.page.context.set_offline(False)

        assert await opened.becomes(turn, "completed") == "Half and half"


async def test_a_refusal_is_said_in_words_and_gives_the_question_back(
    node: str, clerk: Clerk
) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("[INST] One?")
        await opened.becomes(turn, "failed")
        assert "[INST]" in await turn.locator(".note").inner_text()
        await expect(opened.page.get_by_label("Your message")).to_have_value("[INST] One?")

        late = await opened.ask("Two?")
        await clerk.claim()
        clerk.refuse()

        await opened.becomes(late, "failed")
        await expect(late.locator(".note")).to_have_text(
            "The prompt has 70 tokens; this model takes at most 64."
        )


async def test_a_failed_answer_keeps_its_text_and_says_why(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        await clerk.claim()
        clerk.say("Half")
        clerk.end("failed", error=error_json("server_error", "The engine gave up."))

        assert await opened.becomes(turn, "failed") == "Half"
        await expect(turn.locator(".note")).to_have_text("The engine gave up.")

        # There is nothing to go on from, so the next turn begins anew.
        await opened.ask("Two?")
        assert [m.text for m in (await clerk.claim()).messages] == ["Two?"]


async def test_a_key_is_asked_for_until_it_is_right_and_kept_in_the_tab(
    locked_node: str, clerk: Clerk
) -> None:
    async with visit(locked_node) as opened:
        door = opened.page.get_by_role("dialog")
        await opened.page.get_by_label("API key").fill("wrong")
        await opened.page.keyboard.press("Enter")
        await expect(door).to_contain_text("The API key is not known here.")

        await opened.page.get_by_label("API key").fill(KEY)
        await opened.page.keyboard.press("Enter")
        await opened.connection("connected")
        await opened.page.reload()
        await opened.connection("connected")

        await expect(door).to_be_hidden()
        turn = await opened.ask("One?")
        await clerk.claim()
        clerk.say("Welcome.")
        clerk.end()
        assert await opened.becomes(turn, "completed") == "Welcome."


async def test_the_page_changes_once_a_frame_however_fast_the_slices_come(
    node: str, clerk: Clerk
) -> None:
    count = """() => {
      window.changes = 0;
      const text = document.querySelector(".answer");
      new MutationObserver((all) => { window.changes += all.length; })
        .observe(text, { characterData: true, subtree: true });
    }"""
    async with visit(node) as opened:
        turn = await opened.ask("One?")
        await clerk.claim()
        await opened.becomes(turn, "thinking")
        await opened.page.evaluate(count)

        clerk.say(*["slice "] * 200)
        await expect(turn.locator(".answer")).to_have_text("slice " * 200)

        assert await opened.page.evaluate("() => window.changes") < 100
        clerk.end()
        assert await opened.becomes(turn, "completed") == "slice " * 200


async def test_enter_sends_and_shift_enter_does_not(node: str, clerk: Clerk) -> None:
    async with visit(node) as opened:
        box = opened.page.get_by_label("Your message")
        await expect(box).to_be_focused()
        await opened.connection("connected")
        await opened.page.keyboard.press("Enter")
        await opened.page.keyboard.type("two")
        await opened.page.keyboard.press("Shift+Enter")
        await opened.page.keyboard.type("lines")
        assert await opened.page.locator(".turn").count() == 0
        await opened.page.keyboard.press("Enter")

        assert [m.text for m in (await clerk.claim()).messages] == ["two\nlines"]
        await expect(box).to_have_value("")


def test_the_page_may_load_nothing_from_elsewhere(node: str) -> None:
    with urllib.request.urlopen(f"{node}/", timeout=10) as page:
        policy = page.headers["content-security-policy"]

    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
