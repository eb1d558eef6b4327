"""The official Python SDK over HTTP."""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.clients.openai_turns import DIRECTOR, LONG, TITANIC, said


def test_a_response_comes_whole_and_in_streams(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "demo", "input": TITANIC, "temperature": 0}

    whole = client.responses.create(**asked)
    raw = list(client.responses.create(**asked, stream=True))
    with client.responses.stream(**asked) as stream:
        helped = list(stream)
        final = stream.get_final_response()

    assert "Titanic" in whole.output_text
    assert said(raw) == said(helped) == final.output_text == whole.output_text
    assert [event.sequence_number for event in raw] == list(range(len(raw)))


def test_a_conversation_continues_by_id_and_by_items(client: OpenAI) -> None:
    first = client.responses.create(model="demo", input=TITANIC, temperature=0)

    by_id = client.responses.create(
        model="demo", input=DIRECTOR, temperature=0, previous_response_id=first.id
    )
    items: Any = [{"role": "user", "content": TITANIC}, *first.output]
    items.append({"role": "user", "content": DIRECTOR})
    by_items = client.responses.create(model="demo", input=items, temperature=0)

    assert "Cameron" in by_id.output_text == by_items.output_text


def test_an_abandoned_stream_is_resumed_without_a_gap(client: OpenAI) -> None:
    with client.responses.create(
        model="demo", **LONG | {"max_output_tokens": 80}, stream=True
    ) as stream:
        head: list[Any] = []
        for event in stream:
            head.append(event)
            if event.type == "response.output_text.delta":
                break
    id = head[0].response.id

    tail = list(client.responses.retrieve(id, stream=True, starting_after=head[-1].sequence_number))
    with client.responses.stream(response_id=id) as again:
        text = said(list(again))

    assert said(head + tail) == text == client.responses.retrieve(id).output_text != ""


def test_a_response_is_cancelled_retrieved_and_deleted(client: OpenAI) -> None:
    stream = client.responses.create(model="demo", **LONG, stream=True)
    created: Any = next(iter(stream))

    stopped = client.responses.cancel(created.response.id)
    stream.close()

    assert stopped.status == "cancelled"
    assert client.responses.retrieve(stopped.id).status == "cancelled"
    assert client.responses.input_items.list(stopped.id).data[0].role == "user"  # type: ignore[union-attr]
    client.responses.delete(stopped.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(stopped.id)


def test_a_completion_comes_whole_and_in_streams(client: OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "user", "content": TITANIC}],
        "temperature": 0,
    }

    whole = client.chat.completions.create(**asked)
    raw = list(client.chat.completions.create(**asked, stream=True))
    with client.chat.completions.stream(**asked) as stream:
        helped = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()

    text = whole.choices[0].message.content
    assert "Titanic" in (text or "")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw) == text
    assert "".join(helped) == final.choices[0].message.content == text


def test_the_models_can_be_listed_and_retrieved(client: OpenAI) -> None:
    assert "demo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("demo").owned_by == "turnstream"


def test_an_error_has_its_code_and_param(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.responses.create(model="nobody's", input=TITANIC)
    with pytest.raises(BadRequestError) as bad:
        client.responses.create(model="demo", input=TITANIC, temperature=9)

    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert (bad.value.code, bad.value.param) == ("invalid_value", "temperature")
    assert json.loads(bad.value.response.text)["error"]["message"].startswith("'temperature'")
    assert (bad.value.request_id or "").startswith("req_")


def test_a_background_turn_is_retrieved_resumed_and_cancelled(client: OpenAI) -> None:
    background: dict[str, Any] = {"model": "demo", **LONG, "background": True}

    made = client.responses.create(**background)
    stopped = client.responses.cancel(made.id)
    again = client.responses.cancel(made.id)
    with client.responses.create(**background | {"max_output_tokens": 80}, stream=True) as stream:
        created: Any = next(iter(stream))
    tail = list(client.responses.retrieve(created.response.id, stream=True, starting_after=0))

    assert made.status == "queued"
    assert stopped.status == again.status == "cancelled"
    assert said(tail) == client.responses.retrieve(created.response.id).output_text != ""


def test_a_token_count_equals_the_usage_of_the_turn(client: OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="demo", input=TITANIC)
    answered = client.responses.create(model="demo", input=TITANIC, max_output_tokens=1)

    assert answered.usage is not None
    assert counted.input_tokens == answered.usage.input_tokens > 0


def test_a_conversation_continues_from_its_compaction(client: OpenAI) -> None:
    first = client.responses.create(model="demo", input=TITANIC, temperature=0)

    compacted = client.responses.compact(model="demo", previous_response_id=first.id)
    items: Any = [*compacted.output, {"role": "user", "content": DIRECTOR}]
    after = client.responses.create(model="demo", input=items, temperature=0)

    assert compacted.output[-1].type == "compaction"
    assert "Cameron" in after.output_text


def test_a_history_with_tools_is_answered_in_both_protocols(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="demo",
        messages=[
            {"role": "assistant", "content": "Hello [INST], what can I do?"},
            {"role": "user", "content": "What is the capital of France?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "capital", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Paris"},
        ],
    )
    response = client.responses.create(
        model="demo",
        input=[
            {"role": "user", "content": "What is the capital of France?"},
            {"type": "function_call", "call_id": "c1", "name": "capital", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [{"type": "input_text", "text": "Paris"}],
            },
        ],
    )
    listed = client.responses.input_items.list(response.id, order="asc").data

    assert completion.choices[0].message.content
    assert response.output_text
    assert [item.type for item in listed] == [*("message", "function_call", "function_call_output")]


def test_a_background_turn_of_a_conversation_ends_in_it(client: OpenAI) -> None:
    conversation = client.conversations.create(items=[{"role": "user", "content": TITANIC}])
    made = client.responses.create(
        model="demo", conversation=conversation.id, input=[], background=True, temperature=0
    )
    with client.responses.stream(response_id=made.id) as stream:
        text = said(list(stream))

    newest = client.conversations.items.list(conversation.id).data[0]
    assert "Titanic" in text
    assert newest.content[0].text == text  # type: ignore[union-attr]


def test_a_text_completion_comes_whole_and_in_a_stream(client: OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "demo",
        "prompt": ["Once upon a time", "The movie"],
        "temperature": 0,
    }

    whole = client.completions.create(**asked)
    texts = ["", ""]
    for piece in client.completions.create(**asked, stream=True):
        texts[piece.choices[0].index] += piece.choices[0].text

    assert texts == [choice.text for choice in whole.choices]
    assert all(texts)
