"""Tasks end even when the first cancel is swallowed."""

import asyncio

from turns.ending import end


async def test_a_task_that_swallows_a_cancel_is_asked_again() -> None:
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
    async with asyncio.timeout(10):
        await end([task])

    assert task.cancelled()


async def test_a_task_that_has_ended_is_left_alone() -> None:
    async def quick() -> None:
        return

    task = asyncio.create_task(quick())
    await task

    await end([task])

    assert not task.cancelled()
