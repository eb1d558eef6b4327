"""`turnstream.client` against the service, and the snippets of docs/client.md."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.service import ROOT, Service
from tests.end_to_end.story import STORY
from tests.programs import run
from turnstream.client import (
    AsyncClient,
    Client,
    ClientClosed,
    Options,
    RequestRefused,
)
from turnstream.client import (
    turn as turn_module,
)

FILM = {"input": "Do you know the Titanic movie?", "temperature": 0.0}
SNIPPETS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    async with asyncio.timeout(60), AsyncClient(service.url, key="any") as client:
        yield client


async def test_a_conversation_continues_by_the_id_of_its_last_response(
    client: AsyncClient,
) -> None:
    first = await (await client.create(**FILM)).response()
    second = await client.create(
        input="Who is the director?", previous_response_id=first.id, temperature=0
    )
    answer = await second.response()

    assert "Cameron" in answer.text
    assert (answer.status, answer.previous_response_id) == ("completed", first.id)
    assert await client.retrieve(answer.id) == answer
    [item] = await client.input_items(answer.id)
    assert item["content"][0]["text"] == "Who is the director?"


def test_a_turn_is_steered_while_its_reader_reads(service: Service) -> None:
    with Client(service.url, key="any") as client:
        turn = client.create(**STORY)
        slices = turn.slices()
        shown = next(slices)
        steered = turn.steer(FILM["input"])
        assert turn.successor is None
        shown += "".join(slices)
        first = turn.response()
        assert turn.successor is not None
        second = turn.successor.response()
        with pytest.raises(RequestRefused) as late:
            turn.steer("Shorter!")

    assert steered.startswith("steer_")
    assert shown == first.text
    assert (first.status, first.incomplete_reason) == ("incomplete", "steered")
    assert (first.steering, first.successor_id) == ("continued", second.id)
    assert (second.previous_response_id, second.steering) == (first.id, None)
    assert second.text
    assert late.value.code == "response_already_completed"


async def test_a_reader_that_is_slow_gets_what_it_had_no_room_for(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_module, "MOST_WAITING", 5)
    short = STORY | {"max_output_tokens": 60}
    slow = await client.create(**short)
    # By its end, all events of the other turn were delivered.
    other = await client.create(**short)
    await other.response()
    numbers = [event.sequence_number async for event in slow.events()]

    assert numbers == list(range(len(numbers)))
    assert slow.text == (await client.retrieve(slow.id)).text == other.text


async def test_more_turns_than_lanes_wait_for_each_other(service: Service) -> None:
    async with asyncio.timeout(60), AsyncClient(service.url, options=Options(turns=2)) as client:
        turns = [await client.create(**FILM, max_output_tokens=4) for _ in range(5)]
        texts = {(await turn.response()).text for turn in turns}

    assert len(texts) == 1


async def test_a_cancelled_turn_keeps_its_text_and_can_be_resumed(client: AsyncClient) -> None:
    turn = await client.create(**STORY | {"max_output_tokens": 2000, "ignore_eos": True})
    async for _ in turn.slices():
        await turn.cancel()
    again = await client.resume(turn.id)

    assert (await again.response()).status == "cancelled"
    assert again.text == turn.text != ""


async def test_a_turn_is_read_on_from_a_number(client: AsyncClient) -> None:
    turn = await client.create(**FILM)
    events = [event async for event in turn.events()]
    rest = await client.resume(turn.id, starting_after=7)

    assert [event async for event in rest.events()] == [
        type(event)(event.type, event.sequence_number, event.data | {"stream_id": "lane-0"})
        for event in events[8:]
    ]


async def test_a_refusal_has_the_code_of_the_service(client: AsyncClient) -> None:
    turn = await client.create(input="Hello", model="no-such")
    with pytest.raises(RequestRefused, match="does not exist") as refused:
        await turn.response()

    assert (refused.value.code, refused.value.status) == ("model_not_found", 404)
    assert (refused.value.param, refused.value.retry_after) == ("model", None)
    # The lane is free again, and the socket open.
    assert (await (await client.create(**FILM)).response()).status == "completed"


async def test_a_request_that_only_the_worker_refuses_raises_too(client: AsyncClient) -> None:
    turn = await client.create(input="word " * 5000)
    with pytest.raises(RequestRefused) as refused:
        [text async for text in turn.slices()]

    assert refused.value.code == "context_length_exceeded"


async def test_a_closed_client_ends_its_readers(service: Service) -> None:
    async with AsyncClient(service.url) as client:
        turn = await client.create(**STORY)
    with pytest.raises(ClientClosed):
        await turn.response()


def test_ordinary_code_reads_the_same(service: Service) -> None:
    with Client(service.url) as client:
        turn = client.create(**FILM)
        texts = list(turn.slices())

        assert "".join(texts) == turn.text == client.retrieve(turn.id).text
        assert len(texts) > 1
        assert turn.response().status == "completed"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_of_the_documentation_runs(
    service: Service, tmp_path: Path, snippet: str
) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(snippet.replace("http://127.0.0.1:8000", service.url), encoding="utf-8")
    printed = run(sys.executable, program)

    assert re.search("Titanic|1997|lane|completed", printed), json.dumps(printed)
