"""Several answers to one request: a turn for each, all followed together.

Each is a turn like any other in the queue and at its worker; only the node that answers the request
knows that they belong together.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import msgspec

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import event_type
from turnstream.turns.follower import Follower, Page
from turnstream.turns.tasks import end
from turnstream.turns.turn import Turn

Submit = Callable[[Turn], AbstractAsyncContextManager[Follower]]
_FAILED = frozenset((b"error", b"response.failed"))


class ChoiceEvent(bytes):
    """An event of one of several turns."""

    #: Which of them.
    choice: int = 0


def index_of(event: bytes) -> int:
    """Return which of the turns of a request an event belongs to."""
    return event.choice if isinstance(event, ChoiceEvent) else 0


@asynccontextmanager
async def following(
    turn_client: TurnClient, turns: Sequence[Turn], submit: Submit
) -> AsyncIterator[Follower]:
    """Submit turns and follow them as one; those that have not ended at the end are abandoned.

    Raises:
        TurnError: one of them could not be submitted; those before it are cancelled.
    """
    followers: list[Follower] = []
    try:
        async with AsyncExitStack() as stack:
            for turn in turns:
                try:
                    followers.append(await stack.enter_async_context(submit(turn)))
                except TurnError:
                    await _cancel(turn_client, turns[0].owner, followers)
                    raise
            yield _Choices(turn_client, turns[0].owner, followers)
    except Exception:
        await _abandon(turn_client, followers)
        raise
    await _abandon(turn_client, followers)


async def _abandon(turn_client: TurnClient, followers: Sequence[Follower]) -> None:
    # Not before the followers are closed: until then they count as readers.
    for follower in followers:
        if not follower.ended:
            await turn_client.abandon(follower.turn_id)


async def _cancel(turn_client: TurnClient, owner: str, followers: Sequence[Follower]) -> None:
    for follower in followers:
        with suppress(TurnError):  # it has ended, or Redis is away: then it is abandoned
            await turn_client.cancel(follower.turn_id, owner)


class _Choices(Follower):
    """Yields the events of several turns as each `ChoiceEvent` comes; named by the first turn."""

    def __init__(self, turn_client: TurnClient, owner: str, followers: Sequence[Follower]) -> None:
        super().__init__(followers[0].turn_id, after=-1, read=_nothing)
        self._turn_client = turn_client
        self._owner = owner
        self._followers = followers

    @property
    def ended(self) -> bool:
        """Whether every turn is known to have its terminal event."""
        return all(follower.ended for follower in self._followers)

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """Yield batches of the turns in the order in which they come, up to the last's end.

        If one fails, the request has failed: the others are cancelled and not waited for.
        """
        sources = [follower.batches() for follower in self._followers]
        waiting = {_next(source): index for index, source in enumerate(sources)}
        try:
            while waiting:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=waiting.__getitem__):
                    index = waiting.pop(task)
                    batch = task.result()
                    if batch is None:
                        continue
                    waiting[_next(sources[index])] = index
                    failed = bool(batch) and event_type(batch[-1]) in _FAILED
                    if failed or (batch and _is_cancelled(batch[-1])):
                        # Whoever cancels one answer by its id cancels the request.
                        rest = [each for each in self._followers if not each.ended]
                        await _cancel(self._turn_client, self._owner, rest)
                    yield [_choice_event(event, index) for event in batch]
                    if failed:
                        return
        finally:
            await end(waiting)
            for task in waiting:
                # Nobody is left whom its error could concern.
                _ = task.cancelled() or task.exception()
            for source in sources:
                await source.aclose()


def _next(source: AsyncGenerator[list[bytes], None]) -> "asyncio.Task[list[bytes] | None]":
    async def read() -> list[bytes] | None:
        return await anext(source, None)

    return asyncio.create_task(read())


def _choice_event(event: bytes, index: int) -> ChoiceEvent:
    of_choice = ChoiceEvent(event)
    of_choice.choice = index
    return of_choice


async def _nothing(turn_id: str, after: int) -> Page:
    raise AssertionError("the followers of the turns read their logs")


class _Status(msgspec.Struct, frozen=True):
    status: str


class _Ended(msgspec.Struct, frozen=True):
    response: _Status


def _is_cancelled(event: bytes) -> bool:
    if event_type(event) != b"response.incomplete":
        return False
    return msgspec.json.decode(event, type=_Ended).response.status == "cancelled"
