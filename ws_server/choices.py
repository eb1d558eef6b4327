"""Several answers to one chat completion request: a turn for each, all followed together.

Each is a turn like any other in the queue and at its worker; only the node that answers the request
knows that they belong together.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import msgspec

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import event_type
from turnstream.turns.follower import Follower, Page
from turnstream.turns.ids import new_response_id
from turnstream.turns.tasks import end, take_error
from turnstream.turns.turn import Turn
from turnstream.ws_server.create import KEY_LENGTH, Create, drawn_seed
from turnstream.ws_server.directory import Model

Submit = Callable[[Turn], AbstractAsyncContextManager[Follower]]

#: Seeds are integers of 64 bits; the one after the last is the first.
_SEEDS = 2**64
_LEAST_SEED = -(2**63)
#: Events that end a turn, and with it the request, without an answer.
FAILED = frozenset((b"error", b"response.failed"))


class ChoiceEvent(bytes):
    """An event of one of several turns."""

    #: Which of them.
    choice: int = 0


def index_of(event: bytes) -> int:
    """Return which of the turns of a request an event belongs to."""
    return event.choice if isinstance(event, ChoiceEvent) else 0


def turns_of(create: Create, owner: str, model: Model) -> list[Turn]:
    """Make the turns of a request: one, or as many as it wants answers.

    Raises:
        BadRequest: as `Create.turn` does.
    """
    first = create.turn(owner, model, previous_cached=False)
    return [
        replace(_choice(first, index, create), siblings=create.choices - 1 - index)
        for index in range(create.choices)
    ]


def _choice(first: Turn, index: int, create: Create) -> Turn:
    if index == 0:
        return first
    seed = drawn_seed()
    if "seed" in create.sampling:
        seed = (first.request.sampling.seed + index - _LEAST_SEED) % _SEEDS + _LEAST_SEED
    key = first.idempotency_key
    return replace(
        first,
        id=new_response_id(),
        request=replace(first.request, sampling=replace(first.request.sampling, seed=seed)),
        # Longer than a client's key may be, so that it is never another request's.
        idempotency_key=None if key is None else f"{key:{KEY_LENGTH}}:{index}",
    )


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
                    # But not what an earlier request with the same idempotency key made.
                    made = {turn.id for turn in turns}
                    mine = [each for each in followers if each.turn_id in made]
                    await _cancel(turn_client, turns[0].owner, mine)
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
                    failed = bool(batch) and event_type(batch[-1]) in FAILED
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
                take_error(task)
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
