"""Token counts of conversations."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.turns.conftest import MODEL, MakeTurn, ending, submitted
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.errors import BadRequest, Overloaded, PreviousResponseNotFound
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings
from turnstream.turns.token_count import Count, CountQueue, Question
from turnstream.turns.turn import Message

Say = Callable[[Question], Count | BadRequest]


@asynccontextmanager
async def counting(settings: TurnSettings, say: Say) -> AsyncIterator[list[Question]]:
    """Answer one count request as a worker, and return the requests."""
    client = connect(settings.redis_url)
    questions = CountQueue(client, model=MODEL)
    asked: list[Question] = []

    def answer_one() -> None:
        while not asked:
            question = questions.next()
            if question is not None:
                asked.append(question)
                questions.answer(question, say(question))

    working = asyncio.create_task(asyncio.to_thread(answer_one))
    yield asked
    async with asyncio.timeout(30):
        await working
    client.close()


async def test_a_worker_gets_the_whole_conversation_and_its_count_is_returned(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    parent = await submitted(turn_client, make_turn("One?"))
    claimed = queue.claim(1)
    assert claimed is not None
    log.append([ending(parent.id, first=claimed.seq + 1, text="One.\nIt's “one”.")])
    queue.heartbeat([], {}, slots=1)
    count = Count(tokens=42, kept=(Message("user", "One\n?"),))

    async with counting(settings, lambda question: count) as asked:
        told = await turn_client.counts.count(
            make_turn("Two?", previous_response_id=parent.id), compact=True
        )

    assert told == count
    assert [message.text for message in asked[0].messages] == ["One?", "One.\nIt's “one”.", "Two?"]
    assert asked[0].compact is True


async def test_a_first_turn_has_nothing_before_it(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    queue.heartbeat([], {}, slots=1)
    async with counting(settings, lambda question: Count(tokens=1)) as asked:
        await turn_client.counts.count(make_turn("One?"))

    assert asked[0].messages == (Message("user", "One?"),)
    assert asked[0].compact is False


async def test_a_count_asked_before_the_subscription_waits_for_it(
    queue: TurnQueue,
    make_turn: MakeTurn,
    settings: TurnSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.heartbeat([], {}, slots=1)
    listen, allowed = Relay.listen, asyncio.Event()

    async def listen_late(relay: Relay) -> None:
        await allowed.wait()
        await listen(relay)

    monkeypatch.setattr(Relay, "listen", listen_late)
    async with (
        open_client(settings, "late") as late,
        counting(settings, lambda question: Count(tokens=1)) as asked,
    ):
        told = asyncio.create_task(late.counts.count(make_turn("One?")))
        await asyncio.sleep(0)  # the count has begun
        assert asked == []
        allowed.set()
        assert (await told).tokens == 1


async def test_what_a_worker_refuses_is_refused(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    queue.heartbeat([], {}, slots=1)
    bad = BadRequest("Never", code="unsafe_prompt", param="input")
    async with counting(settings, lambda question: bad):
        with pytest.raises(BadRequest, match="Never") as refused:
            await turn_client.counts.count(make_turn())

    assert (refused.value.code, refused.value.param) == ("unsafe_prompt", "input")


async def test_without_a_worker_a_count_is_refused_at_once(
    turn_client: TurnClient, make_turn: MakeTurn
) -> None:
    with pytest.raises(Overloaded, match="No worker of model 'tiny' is live"):
        await turn_client.counts.count(make_turn())


async def test_a_worker_that_does_not_answer_is_given_up_after_the_timeout(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.turns.token_count.REPLY_SECONDS", 1.0)
    queue.heartbeat([], {}, slots=1)

    with pytest.raises(Overloaded, match="answered in time"):
        await turn_client.counts.count(make_turn())

    assert turn_client.relay.followed() == []


async def test_count_requests_beyond_the_limit_are_refused(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.turns.token_count.MAX_WAITING", 1)
    queue.heartbeat([], {}, slots=1)
    first = asyncio.create_task(turn_client.counts.count(make_turn()))
    async with asyncio.timeout(30):
        while not turn_client.relay.followed():
            await asyncio.sleep(0.01)
        # The worker takes whichever of the two arrives first.
        second = asyncio.create_task(turn_client.counts.count(make_turn()))
        [refused], [waiting] = await asyncio.wait(
            (first, second), return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        await asyncio.wait([waiting])

    assert "Too many" in str(refused.exception())


async def test_another_owners_conversation_is_not_found(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    queue.heartbeat([], {}, slots=1)
    parent = await submitted(turn_client, make_turn(owner="ann"))

    with pytest.raises(PreviousResponseNotFound):
        await turn_client.counts.count(make_turn(owner="bob", previous_response_id=parent.id))
