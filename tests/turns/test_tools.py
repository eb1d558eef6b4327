"""Tools in the record of a turn, and calls of them in the conversation that goes on from it."""

import json
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, submitted
from turnstream.prompts.tools import AllowedTools, NamedTool, Offer, Tool, ToolChoice
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.constraint import Constraint
from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import response_fields_json
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.response import call_item, message_item, without_logprobs
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    Request,
    Turn,
    items_to_json,
)

ADD = Tool(name="add", description="Add.", parameters='{"type":"object"}', strict=True)
NOW = Tool(name="now")
PLAIN = Request(instructions=None, sampling=SamplingParams(temperature=0))


@pytest.mark.parametrize(
    "request_",
    [
        PLAIN,
        replace(PLAIN, tools=(ADD, NOW)),
        replace(PLAIN, tools=(NOW,), tool_choice="required", parallel_tool_calls=False),
        replace(PLAIN, tools=(ADD,), tool_choice="none", constraint=Constraint("regex", "a")),
        replace(PLAIN, tools=(ADD,), tool_choice=NamedTool("add")),
        replace(PLAIN, tools=(ADD, NOW), tool_choice=AllowedTools("required", ("add", "now"))),
    ],
)
def test_a_request_is_read_from_the_record_as_it_was_written(request_: Request) -> None:
    assert Request.from_json(request_.to_json()) == request_


def test_what_has_its_default_is_not_in_the_record() -> None:
    written = json.loads(replace(PLAIN, tools=(NOW,)).to_json())

    assert written["tools"] == [{"name": "now"}]
    assert not {"tool_choice", "parallel_tool_calls"} & written.keys()
    assert "tools" not in json.loads(PLAIN.to_json())


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        ("none", None),
        ("auto", Offer(tools=(ADD, NOW))),
        ("required", Offer(tools=(ADD, NOW), required=True)),
        (NamedTool("now"), Offer(tools=(NOW,), required=True, parallel=False)),
        (AllowedTools("auto", ("add",)), Offer(tools=(ADD,))),
        (AllowedTools("required", ("now",)), Offer(tools=(NOW,), required=True)),
    ],
)
def test_a_choice_says_which_tools_may_be_called(choice: ToolChoice, offered: Offer | None) -> None:
    assert replace(PLAIN, tools=(ADD, NOW), tool_choice=choice).offer == offered
    assert replace(PLAIN, tool_choice=choice).offer is None


async def called(
    turn_client: TurnClient, queue: TurnQueue, log: Log, turn: Turn, *, text: str = ""
) -> FunctionCall:
    """Submit a turn, and answer it with a text and a call."""
    await submitted(turn_client, turn)
    claimed = queue.claim(1)
    assert claimed is not None
    item = call_item(turn.id, 0, "completed", "add", '{"a":1}')
    output = (*([message_item(turn.id, "completed", text)] if text else []), item)
    call = FunctionCall(call_id=item.call_id, name="add", arguments=item.arguments, id=item.id)
    final = Final(
        status="completed",
        error="null",
        response=response_fields_json({"id": turn.id, "output": output}),
        text=text,
        calls=items_to_json([call]),
    )
    entries = tuple(Entry('{"n":1}') for _ in range(12))
    part = Append(
        id=turn.id, attempt=1, first=claimed.seq + 1, entries=(*entries, Entry("{}")), final=final
    )
    assert [verdict.value for verdict in log.append([part])] == ["ok"]
    return call


@pytest.mark.parametrize("text", ["", "Wait."])
async def test_a_turn_that_goes_on_from_calls_has_them_in_its_conversation(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, text: str
) -> None:
    first = make_turn("1+1?")
    call = await called(turn_client, queue, log, first, text=text)
    output = FunctionCallOutput(call_id=call.call_id, output="2")
    second = replace(make_turn(previous_response_id=first.id), input=(output,))
    await submitted(turn_client, second)
    claimed = queue.claim(1)

    assert claimed is not None
    said = (Message("assistant", text),) if text else ()
    assert claimed.messages == (Message("user", "1+1?"), *said, call, output)


async def test_a_turn_cannot_go_on_from_a_call_without_new_items(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    first = make_turn()
    await called(turn_client, queue, log, first)

    with pytest.raises(TurnError) as caught:
        await submitted(turn_client, replace(make_turn(previous_response_id=first.id), input=()))
    assert caught.value.status == 400


async def test_an_output_of_another_call_is_refused(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    first = make_turn()
    await called(turn_client, queue, log, first)
    other = FunctionCallOutput(call_id="call_other", output="2")

    with pytest.raises(TurnError, match="call_other"):
        await submitted(
            turn_client, replace(make_turn(previous_response_id=first.id), input=(other,))
        )


async def test_after_the_log_expired_every_item_comes_from_the_record(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = make_turn()
    call = await called(turn_client, queue, log, turn, text="Wait.")
    await redis.delete(keys.log(turn.id))

    async with turn_client.follow(turn.id, "ann", after=-1) as follower:
        events = [json.loads(event) async for batch in follower.batches() for event in batch]

    assert [event["type"].removeprefix("response.") for event in events] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    last = events[-1]["sequence_number"]
    assert [event["sequence_number"] for event in events] == list(range(last - 5, last + 1))
    assert all(event["snapshot"] is True for event in events)
    assert (events[3]["arguments"], events[3]["output_index"]) == (call.arguments, 1)
    assert events[4]["item"]["call_id"] == call.call_id


def test_a_response_without_logprobs_keeps_its_calls() -> None:
    output = [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {
                    "type": "output_text",
                    "text": "a",
                    "annotations": [],
                    "logprobs": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}],
                }
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "add",
            "arguments": "{}",
            "status": "completed",
        },
    ]
    bare = json.loads(without_logprobs(json.dumps({"output": output}, separators=(",", ":"))))

    assert bare["output"][0]["content"][0]["logprobs"] == []
    assert bare["output"][1] == output[1]
