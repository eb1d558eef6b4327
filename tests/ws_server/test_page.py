"""The page in a real browser, with a real node and a real Redis; the test plays the worker.

So an answer can stop half-way until the page has shown what a test is about.
"""

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser import FENCE, SLICES, visit
from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import MODEL, FakeWorker
from turnstream.turns import keys
from turnstream.turns.connection import connect
from turnstream.turns.response import error_json

KEY = "let-me-in"


@pytest.fixture(scope="module")
def locked_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that requires a key, whose owner may have one turn that waits."""
    environ = {
        "TURNSTREAM_API_KEYS": f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "TURNSTREAM_LIMITS": "ann:queued=1",
    }
    with serving(redis_url, tmp_path_factory.mktemp("locked"), **environ) as url:
        yield url


async def test_an_answer_is_shown_as_it_grows_and_kept_to_the_last_space(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        turn = await opened.ask("Tell me\na story.")
        claimed = await worker.claim()
        assert [message.text for message in claimed.messages] == ["Tell me\na story."]
        await opened.becomes(turn, "thinking")

        worker.say(FENCE, "Once")
        await opened.becomes(turn, "writing")
        await expect(turn.locator(".answer pre")).to_have_text("Once")
        assert await turn.get_attribute("aria-busy") == "true"
        await expect(tab.locator("#announcement")).not_to_contain_text("Once")
        worker.say(*SLICES[1:])
        worker.end()

        assert await opened.becomes(turn, "completed") == "".join(SLICES)
        assert await opened.ends(turn) == "".join(SLICES)
        assert await turn.locator(".answer b").count() == 0
        await expect(tab.locator("#announcement")).to_contain_text("a <b>time</b> & 😀")
        await turn.get_by_role("button", name="Copy the answer").click()
        await expect(turn.get_by_text("Copied", exact=True)).to_be_visible()
        assert await tab.evaluate("navigator.clipboard.readText()") == FENCE + "".join(SLICES)
        opened.assert_nothing_went_wrong()


async def test_two_conversations_are_answered_at_once(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        for text in ("One?", "Two?"):
            turn = await opened.ask(text)
            claimed = await worker.claim()
            worker.say(f"I was asked {text}")
            worker.end()
            await opened.ends(turn)
        assert [m.text for m in claimed.messages] == ["One?", "I was asked One?", "Two?"]

        first = await opened.ask("Three?")
        await worker.claim()
        worker.say("old words ")
        await opened.becomes(first, "writing")
        await tab.get_by_role("button", name="New conversation").click()
        await expect(first).to_be_hidden()
        second = await opened.ask("Four?")
        worker.say("more old words")
        worker.end()
        assert [m.text for m in (await worker.claim()).messages] == ["Four?"]
        worker.say("new words")
        worker.end()

        assert await opened.ends(second) == "new words"
        titles = tab.locator("#conversations a")
        await expect(titles).to_have_text(["Four?", "One?"])
        await titles.last.click()
        third = tab.locator(".turn").nth(2)
        assert await opened.ends(third) == "old words more old words"
        opened.assert_nothing_went_wrong()


async def test_a_waiting_turn_shows_its_place_and_when_it_is_next(
    browser: Browser, node: str, worker: FakeWorker, redis_url: str
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        place = opened.page.locator(".queue p")
        first = await opened.ask("One?")
        await expect(place).to_have_text(
            "You are next. No worker is running yet; your place is kept."
        )
        worker.heartbeat()
        await tab.get_by_role("button", name="New conversation").click()
        await opened.ask("Two?")
        await expect(place).to_have_text("Number 2 of 2 in the queue, 1 worker")
        with connect(redis_url) as client:
            client.hset(keys.statistics(MODEL), mapping={"turns:default": 1, "ms:default": 200_000})
        await tab.get_by_role("button", name="New conversation").click()
        await opened.ask("Three?")
        await expect(place).to_have_text(
            re.compile(r"Number 3 of 3 in the queue, about \d\d minutes")
        )
        bar = tab.get_by_role("progressbar")
        begun = await bar.evaluate("bar => bar.value")

        # The first is stopped, so that the third moves up.
        await tab.locator("#conversations a", has_text="One?").click()
        await tab.get_by_role("button", name="Stop").click()
        await opened.becomes(first, "cancelled")
        await tab.locator("#conversations a", has_text="Three?").click()
        await expect(place).to_contain_text("Number 2 of 2 in the queue")
        assert await bar.evaluate("bar => bar.value") >= begun
        assert (await worker.claim()).messages[0].text == "Two?"
        await expect(place).to_contain_text("You are next")
        opened.assert_nothing_went_wrong()


async def test_stop_keeps_the_text_so_far(browser: Browser, node: str, worker: FakeWorker) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("So far")
        await opened.becomes(turn, "writing")

        await tab.keyboard.press("Escape")
        await worker.cancelled()
        worker.end("cancelled")

        assert await opened.becomes(turn, "cancelled") == "So far"
        await expect(turn.locator(".note")).to_have_text("Stopped")
        opened.assert_nothing_went_wrong()


async def test_what_failed_or_was_cut_says_why_and_can_be_asked_again(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        turn = tab.locator(".turn")
        note = turn.locator(".note")
        go_on = turn.get_by_role("button", name="Continue the answer")
        await opened.ask("One?")
        await worker.claim()
        worker.refuse()
        await opened.becomes(turn, "failed")
        await expect(note).to_have_text("The prompt has 70 tokens; this model takes at most 64.")

        await turn.get_by_role("button", name="Try again").click()
        claimed = await worker.claim()
        assert [m.text for m in claimed.messages] == ["One?"]
        worker.say("Half")
        worker.end("failed", error=error_json("server_error", "The engine gave up."))
        assert await opened.becomes(turn, "failed") == "Half"
        await expect(note).to_have_text("The engine gave up.")

        # A failed response can't be continued, so what follows is asked in its place.
        await tab.get_by_label("Your message").fill("Two?")
        await tab.keyboard.press("Enter")
        assert [m.text for m in (await worker.claim()).messages] == ["Two?"]
        worker.say("A long")
        worker.end("incomplete")
        await opened.becomes(turn, "incomplete")
        await expect(note).to_have_text("Cut off at the length limit")
        await expect(turn.locator(".step")).to_contain_text("3 / 3")

        # The rest of what was cut is asked for as a turn of its own.
        await go_on.click()
        claimed = await worker.claim()
        assert [m.text for m in claimed.messages] == ["Two?", "A long", "Continue."]
        await expect(go_on.locator("visible=true")).to_have_count(0)


async def test_a_turn_that_the_server_has_lost_does_not_hold_up_its_conversation(
    browser: Browser, node: str, worker: FakeWorker, redis_url: str
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        await opened.becomes(turn, "queued")
        # Its id is kept.
        await opened.page.get_by_role("button", name="Link").wait_for()
        with connect(redis_url) as client:
            client.flushall()
        await opened.page.reload()
        await opened.becomes(turn, "failed")

        # What is asked next takes its place.
        await opened.page.get_by_label("Your message").fill("Two?")
        await opened.page.keyboard.press("Enter")
        assert [m.text for m in (await worker.claim()).messages] == ["Two?"]


async def test_a_key_is_asked_for_until_it_is_right_and_kept_in_the_tab(
    browser: Browser, locked_node: str, worker: FakeWorker
) -> None:
    async with visit(browser, locked_node) as opened:
        dialog = opened.page.get_by_role("dialog")
        await opened.page.get_by_role("textbox", name="API key").fill("wrong")
        await opened.page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("The API key is not known here.")

        await opened.page.get_by_role("textbox", name="API key").fill(KEY)
        await opened.page.keyboard.press("Enter")
        await opened.connection("connected")
        await opened.page.reload()
        await opened.connection("connected")

        await expect(dialog).to_be_hidden()
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("Welcome.")
        worker.end()
        assert await opened.becomes(turn, "completed") == "Welcome."

        # What the server can't take is kept, and said in words.
        waiting = await opened.ask("Two?")
        await opened.becomes(waiting, "queued")
        await opened.page.get_by_role("button", name="New conversation").click()
        refused = await opened.ask("Three?")
        await expect(refused.locator(".note")).to_have_text(
            "You are at your limit at the moment; it is asked again."
        )
        await worker.claim()
        await worker.claim()
        worker.say("At last.")
        worker.end()
        assert await opened.becomes(refused, "completed") == "At last."


async def test_the_page_changes_once_a_frame_however_fast_the_slices_come(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    count = """() => {
      window.changes = 0;
      const text = document.querySelector(".turn");
      new MutationObserver((all) => { window.changes += all.length; })
        .observe(text, { characterData: true, childList: true, subtree: true });
    }"""
    async with visit(browser, node) as opened:
        tab = opened.page
        turn = await opened.ask("One?")
        await worker.claim()
        await opened.becomes(turn, "thinking")
        await tab.evaluate(count)

        worker.say(*["slice "] * 200)
        await expect(turn.locator(".answer")).to_contain_text(("slice " * 200).strip())

        assert await tab.evaluate("() => window.changes") < 100
        worker.end()
        assert await opened.ends(turn) == "slice " * 200
