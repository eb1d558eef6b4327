"""clients/js in a real browser, with a real node and a real Redis; the test plays the worker.

The document is the page's, with its Content-Security-Policy and without its own scripts.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Browser
from playwright.async_api import Error as PlaywrightError

from harness.ports import free_port
from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.module_tabs import COUNT_WORKERS, LISTEN, NOTE_WAITS, open_tab, tabs


async def test_tabs_share_one_socket_and_one_can_stop_what_another_asked(
    browser: Browser, worker: FakeWorker, redis_url: str, tmp_path: Path
) -> None:
    one_socket = {"TURNSTREAM_OWNER_SOCKETS": "1"}
    with serving(redis_url, tmp_path, **one_socket) as url:
        async with tabs(browser, url, 3) as [first, second, alone]:
            await first.connect("shared")
            await first.ask("One?")
            claimed = await worker.claim()
            worker.say("Once", " upon")
            await first.until("turn.text === 'Once upon'")

            await second.connect("shared")
            await second.do("(turn = client.resume(args[0]), null)", claimed.id)
            await second.until("turn.text === 'Once upon'")
            await alone.connect()
            await alone.until("client.state === 'waiting'")
            await second.do("turn.cancel()")
            await cancelled(worker)
            worker.end("cancelled")

            for tab in (first, second):
                await tab.until("turn.state === 'cancelled'")
                assert await tab.do("turn.text") == "Once upon"
                assert tab.sockets == 0


async def cancelled(worker: FakeWorker) -> None:
    """Wait until the claimed turn is to be stopped."""
    assert worker.claimed is not None
    running = [(worker.claimed.id, worker.claimed.attempt)]
    async with asyncio.timeout(20):
        while worker.queue.heartbeat(running, {}, slots=4) != ["cancel"]:
            await asyncio.sleep(0.02)


@pytest.mark.long
async def test_a_tab_goes_on_when_another_crashes_and_takes_the_shared_worker_with_it(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with tabs(browser, node, 2) as [first, second]:
        await first.connect("shared")
        await first.until("client.state === 'open'")
        await second.connect("shared")
        await second.ask("One?")
        await worker.claim()
        worker.say("Once")
        await second.until("turn.text === 'Once'")

        async with first.page.expect_event("crash"):
            crash = asyncio.create_task(first.page.goto("chrome://crash"))
        with suppress(PlaywrightError):
            await crash
        worker.say(" upon")
        worker.end()

        await second.until("turn.ended && turn.text === 'Once upon'")
        assert second.sockets == 0


async def test_a_tab_goes_on_when_the_shared_worker_loses_its_lock_and_watches_the_next_one(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with tabs(browser, node) as [tab]:
        await tab.page.evaluate(COUNT_WORKERS)
        await tab.connect("shared")
        await tab.ask("One?")
        await worker.claim()
        worker.say("Once")
        await tab.until("turn.text === 'Once'")

        locks = "Object.values(await navigator.locks.query()).map(([lock]) => lock?.name)"
        watched = f"(([held, watched]) => held && held === watched)({locks})"
        await tab.until(watched)
        [lost, _] = await tab.do(locks)
        await tab.do("navigator.locks.request(args[0], { steal: true }, () => {})", lost)

        await tab.until(f"!({locks}).includes({lost!r}) && {watched}")
        worker.say(" upon")
        worker.end()
        await tab.until("turn.ended && turn.text === 'Once upon'")
        assert await tab.do("workers") == 2


async def test_a_reload_in_mid_answer_goes_on_with_the_whole_text(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    for module in ("index", "shared"):
        async with tabs(browser, node) as [tab]:
            await tab.connect(module)
            await tab.ask("One?", idempotencyKey=f"key-{module}")
            await worker.claim()
            worker.say("Once")
            await tab.until("turn.text === 'Once'")

            await tab.page.reload()
            worker.say(" upon")
            await tab.connect(module)
            await tab.do("([turn] = await client.restore(), null)")
            await tab.until("turn.text === 'Once upon'")
            worker.say(" a time")
            worker.end()

            slices = "Array.fromAsync(turn.slices()).then((slices) => slices.join(''))"
            assert await tab.do(slices) == "Once upon a time"
            assert await tab.do("turn.key") == f"key-{module}"
            assert await tab.do("client.restore()") == []


async def test_what_is_asked_offline_is_sent_once_when_the_network_is_back(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with tabs(browser, node) as [tab]:
        await tab.connect()
        await tab.until("client.state === 'open'")
        await tab.page.context.set_offline(True)
        await tab.until("client.state === 'offline'")
        await tab.ask("One?")
        assert await tab.do("turn.state") == "waiting"

        await tab.page.context.set_offline(False)

        assert [m.text for m in (await worker.claim()).messages] == ["One?"]
        worker.say("Yes")
        worker.end()
        await tab.until("turn.state === 'completed'")
        assert worker.queue.claim(1) is None


@pytest.mark.long
async def test_turns_outlive_a_restart_of_the_server_and_come_back_when_it_said(
    browser: Browser, worker: FakeWorker, redis_url: str, tmp_path: Path
) -> None:
    same_port = {"TURNSTREAM_PORT": str(free_port())}
    async with await browser.new_context() as context:
        with serving(redis_url, tmp_path, **same_port) as url:
            tab = await open_tab(context, url)
            await tab.page.evaluate(LISTEN)
            await tab.connect()
            await tab.ask("One?")
            await worker.claim()
            worker.say("Once")
            await tab.until("turn.text === 'Once'")
            await tab.do(NOTE_WAITS)
        await tab.until("waits.length")
        await tab.ask("Two?", idempotencyKey="two")
        worker.say(" upon")
        worker.end()

        with serving(redis_url, tmp_path, **same_port):
            assert await tab.do("Math.abs(waits[0] - told)") < 20
            assert [m.text for m in (await worker.claim()).messages] == ["Two?"]
            worker.say("Yes")
            worker.end()
            await tab.until("turn.text === 'Yes' && turn.ended")
            assert await tab.do("first.text") == "Once upon"
            assert worker.queue.claim(1) is None


async def test_what_was_asked_without_a_connection_is_restored_after_a_reload(
    browser: Browser, worker: FakeWorker, node: str
) -> None:
    for options in ({}, {"area": "localStorage"}):
        async with tabs(browser, node) as [tab]:
            await tab.connect(**options)
            # Closed before it could be sent.
            await tab.ask("One?", idempotencyKey=f"one{len(options)}")
            await tab.do("client.close()")
            assert await tab.do("turn.error.code") == "closed"

            await tab.page.reload()
            await tab.connect(**options)
            await tab.do("([turn] = await client.restore(), null)")

            assert [m.text for m in (await worker.claim()).messages] == ["One?"]
            worker.say("Yes")
            worker.end()
            await tab.until("turn.state === 'completed' && turn.text === 'Yes'")
            assert worker.queue.claim(1) is None
