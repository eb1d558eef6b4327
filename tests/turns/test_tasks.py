"""Tasks end even when the first cancel is swallowed."""

import asyncio

import pytest

from turnstream.turns.client import open_client
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings
from turnstream.turns.tasks import end


async def test_a_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)  # let it begin
    async with asyncio.timeout(30):
        await end([task])

    assert task.cancelled()


async def test_a_task_that_has_ended_is_left_alone() -> None:
    async def quick() -> None:
        return

    task = asyncio.create_task(quick())
    await task

    await end([task])

    assert not task.cancelled()


@pytest.mark.parametrize("name", ["listen", "heartbeat"])
async def test_a_client_closes_though_its_relay_swallows_a_cancel(
    settings: TurnSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def stubborn(relay: Relay) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async def open_and_close() -> None:
        async with open_client(settings, "node-1"):
            await asyncio.sleep(0)  # let its tasks begin

    monkeypatch.setattr(Relay, name, stubborn)
    closing = asyncio.create_task(open_and_close())
    await asyncio.wait({closing}, timeout=30)

    assert closing.done()
