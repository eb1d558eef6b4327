"""The page in a real browser, with a real node and a real Redis; the test plays the worker.

So an answer can stop half-way until the page has shown what a test is about.
"""

import asyncio
import hashlib
import urllib.request
from collections.abc import Iterator

import httpx2
import pytest
from playwright.async_api import Browser, expect

from tests.browser import SLICES, visit
from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import MODEL, FakeWorker
from turnstream.turns import keys
from turnstream.turns.connection import connect
from turnstream.turns.response import error_json

KEY = "let-me-in"


@pytest.fixture(scope="module")
def locked_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that requires a key."""
    keys = f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}"
    directory = tmp_path_factory.mktemp("locked")
    with serving(redis_url, directory, TURNSTREAM_API_KEYS=keys) as url:
        yield url


async def test_an_answer_is_shown_as_it_grows_and_kept_to_the_last_space(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("Tell me\na story.")
        claimed = await worker.claim()
        assert [message.text for message in claimed.messages] == ["Tell me\na story."]
        await opened.becomes(turn, "thinking")

        worker.say("Once")
        assert await opened.becomes(turn, "writing") == "Once"
        assert await turn.get_attribute("aria-busy") == "true"
        await expect(opened.page.locator("#announcement")).to_be_empty()
        worker.say(*SLICES[1:])
        worker.end()

        assert await opened.becomes(turn, "completed") == "".join(SLICES)
        assert await turn.get_attribute("aria-busy") == "false"
        assert await turn.locator(".answer b").count() == 0
        assert await opened.page.locator("#announcement").text_content() == "".join(SLICES).strip()
        opened.assert_nothing_went_wrong()


async def test_a_conversation_continues_until_a_new_one_is_begun(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        for text in ("One?", "Two?"):
            turn = await opened.ask(text)
            claimed = await worker.claim()
            worker.say(f"I heard {text}")
            worker.end()
            await opened.becomes(turn, "completed")
        assert [m.text for m in claimed.messages] == ["One?", "I heard One?", "Two?"]

        await opened.page.get_by_role("button", name="New conversation").click()
        await opened.ask("Three?")

        assert [m.text for m in (await worker.claim()).messages] == ["Three?"]
        assert await opened.page.locator(".turn").count() == 1


async def test_nothing_of_an_abandoned_answer_is_shown_in_the_next_conversation(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        old = await opened.ask("Old?")
        await worker.claim()
        worker.say("old words ")
        await opened.becomes(old, "writing")
        await opened.page.get_by_role("button", name="New conversation").click()
        new = await opened.ask("New?")
        worker.say("more old words")
        worker.end("cancelled")

        assert [m.text for m in (await worker.claim()).messages] == ["New?"]
        worker.say("new words")
        worker.end()

        assert await opened.becomes(new, "completed") == "new words"
        opened.assert_nothing_went_wrong()


async def test_a_waiting_turn_shows_its_position_and_that_no_worker_is_live(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as first, visit(browser, node) as second:
        waiting = await first.ask("One?")
        await expect(waiting.locator(".note")).to_have_text(
            "Number 1 of 1 in the queue. No worker is running yet; your place is kept."
        )
        worker.heartbeat()
        waiting = await second.ask("Two?")
        await expect(waiting.locator(".note")).to_have_text("Number 2 of 2 in the queue, 1 worker")


async def test_a_waiting_turn_shows_its_estimate_once_there_is_one(
    browser: Browser, node: str, worker: FakeWorker, redis_url: str
) -> None:
    with connect(redis_url) as client:
        client.hset(keys.statistics(MODEL), mapping={"turns:default": 1, "ms:default": 200_000})
    async with visit(browser, node) as opened:
        worker.heartbeat()
        waiting = await opened.ask("One?")
        await expect(waiting.locator(".note")).to_have_text(
            "Number 1 of 1 in the queue, about 4 minutes"
        )


async def test_stop_ends_a_turn_that_still_waits(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        await opened.becomes(turn, "queued")

        await opened.page.get_by_role("button", name="Stop").click()

        assert await opened.becomes(turn, "cancelled") == ""
        await expect(turn.locator(".note")).to_have_text("Stopped")
        assert worker.queue.claim(1) is None
        opened.assert_nothing_went_wrong()


async def test_stop_keeps_the_text_so_far(browser: Browser, node: str, worker: FakeWorker) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        claimed = await worker.claim()
        worker.say("So far")
        await opened.becomes(turn, "writing")

        await opened.page.keyboard.press("Escape")
        async with asyncio.timeout(20):
            while worker.queue.heartbeat([(claimed.id, claimed.attempt)], {}, slots=4) != [
                "cancel"
            ]:
                await asyncio.sleep(0.02)
        worker.end("cancelled")

        assert await opened.becomes(turn, "cancelled") == "So far"
        await expect(turn.locator(".note")).to_have_text("Stopped")
        opened.assert_nothing_went_wrong()


async def test_a_refusal_is_shown_and_restores_the_question(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with (
        visit(browser, node) as opened,
        httpx2.AsyncClient(base_url=node, timeout=30) as http,
    ):
        late = await opened.ask("One?")
        await worker.claim()
        worker.refuse()

        await opened.becomes(late, "failed")
        await expect(late.locator(".note")).to_have_text(
            "The prompt has 70 tokens; this model takes at most 64."
        )
        await expect(opened.page.get_by_label("Your message")).to_have_value("One?")

        answered = await opened.ask("Two?")
        claimed = await worker.claim()
        worker.say("Two.")
        worker.end()
        await opened.becomes(answered, "completed")
        await http.delete(f"/v1/responses/{claimed.id}")
        turn = await opened.ask("[INST] Three?")
        await opened.becomes(turn, "failed")
        assert claimed.id in await turn.locator(".note").inner_text()
        await expect(opened.page.get_by_label("Your message")).to_have_value("[INST] Three?")


async def test_a_failed_answer_keeps_its_text_and_shows_the_reason(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        await worker.claim()
        worker.say("Half")
        worker.end("failed", error=error_json("server_error", "The engine gave up."))

        assert await opened.becomes(turn, "failed") == "Half"
        await expect(turn.locator(".note")).to_have_text("The engine gave up.")

        # A failed response cannot be continued, so the next turn starts a conversation.
        await opened.ask("Two?")
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


async def test_the_page_changes_once_a_frame_however_fast_the_slices_come(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    count = """() => {
      window.changes = 0;
      const text = document.querySelector(".answer");
      new MutationObserver((all) => { window.changes += all.length; })
        .observe(text, { characterData: true, subtree: true });
    }"""
    async with visit(browser, node) as opened:
        turn = await opened.ask("One?")
        await worker.claim()
        await opened.becomes(turn, "thinking")
        await opened.page.evaluate(count)

        worker.say(*["slice "] * 200)
        await expect(turn.locator(".answer")).to_have_text("slice " * 200)

        assert await opened.page.evaluate("() => window.changes") < 100
        worker.end()
        assert await opened.becomes(turn, "completed") == "slice " * 200


async def test_enter_sends_and_shift_enter_does_not(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        box = opened.page.get_by_label("Your message")
        await expect(box).to_be_focused()
        await opened.connection("connected")
        await opened.page.keyboard.press("Enter")
        await opened.page.keyboard.type("two")
        await opened.page.keyboard.press("Shift+Enter")
        await opened.page.keyboard.type("lines")
        assert await opened.page.locator(".turn").count() == 0
        await opened.page.keyboard.press("Enter")

        assert [m.text for m in (await worker.claim()).messages] == ["two\nlines"]
        await expect(box).to_have_value("")


def test_the_page_may_load_nothing_from_elsewhere(node: str) -> None:
    with urllib.request.urlopen(f"{node}/", timeout=30) as page:
        policy = page.headers["content-security-policy"]

    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
