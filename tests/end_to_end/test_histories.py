"""Histories that other services and clients made are answered in both protocols and on the socket.

Each case was reported for such a service: `content: null`, tools, a greeting first, marks of the
prompt format, and a reply at the end that is to be continued.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

import httpx2
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response
from openai.types.responses.response_item import ResponseItem
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from harness.service import Service
from tests.end_to_end.test_socket import answer, event_text

STORY = {"role": "user", "content": "Write a long story."}
TITANIC = {"role": "user", "content": "Do you know the movie Titanic?"}
CALL = {"type": "function_call", "call_id": "c1", "name": "capital", "arguments": '{"of":"France"}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "Paris"}
#: Tokens of half an answer.
HALF = 24


class Ask(Protocol):
    """A way to ask: returns the answer's text."""

    async def __call__(self, messages: list[Any], *, tokens: int = HALF) -> str: ...


@pytest.fixture
async def socket(service: Service) -> AsyncIterator[ClientConnection]:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        yield socket


async def asked(http: httpx2.AsyncClient, **fields: Any) -> Response:
    fields = {"temperature": 0, "max_output_tokens": HALF} | fields
    reply = await http.post("/v1/responses", json=fields)
    assert reply.status_code == 200, reply.text
    return Response.model_validate(reply.json(), strict=True)


async def completed(http: httpx2.AsyncClient, messages: list[Any], **fields: Any) -> Any:
    fields = {"temperature": 0, "max_tokens": HALF, "messages": messages} | fields
    reply = await http.post("/v1/chat/completions", json=fields)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture(params=["chat", "chat-stream", "responses", "socket"])
def ask(request: pytest.FixtureRequest, http: httpx2.AsyncClient, socket: ClientConnection) -> Ask:
    async def chat(messages: list[Any], *, tokens: int = HALF) -> str:
        whole = await completed(http, messages, max_tokens=tokens)
        return str(whole["choices"][0]["message"]["content"])

    async def chat_stream(messages: list[Any], *, tokens: int = HALF) -> str:
        fields = {"temperature": 0, "max_tokens": tokens, "messages": messages, "stream": True}
        reply = await http.post("/v1/chat/completions", json=fields)
        lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        return "".join(json.loads(x)["choices"][0]["delta"].get("content", "") for x in lines)

    async def responses(messages: list[Any], *, tokens: int = HALF) -> str:
        return (await asked(http, input=messages, max_output_tokens=tokens)).output_text

    async def over_socket(messages: list[Any], *, tokens: int = HALF) -> str:
        events = await answer(socket, input=messages, temperature=0, max_output_tokens=tokens)
        assert events[-1]["type"] in ("response.completed", "response.incomplete"), events[-1]
        return event_text(events)

    ways: dict[str, Ask] = {
        "chat": chat,
        "chat-stream": chat_stream,
        "responses": responses,
        "socket": over_socket,
    }
    return ways[request.param]


@pytest.mark.parametrize(
    "reply",
    [{"content": None}, {}, {"content": "", "refusal": None}, {"content": None, "tool_calls": []}],
    ids=["null", "missing", "empty", "no calls"],
)
async def test_an_answer_without_content_is_as_if_it_was_not_there(
    ask: Ask, reply: dict[str, Any]
) -> None:
    text = await ask([TITANIC, {"role": "assistant"} | reply, TITANIC])

    assert "Titanic" in text
    assert text == await ask([TITANIC, TITANIC])


@pytest.mark.parametrize("before", [[], [{"role": "system", "content": "Be brief."}]])
async def test_a_greeting_by_the_assistant_may_come_first(
    ask: Ask, before: list[dict[str, Any]]
) -> None:
    greeting = {"role": "assistant", "content": "Hi, how can I help?"}

    assert "1997" in await ask([*before, greeting, TITANIC])


async def test_a_system_text_alone_is_answered(ask: Ask) -> None:
    assert await ask([{"role": "system", "content": "Be brief."}])


async def test_what_was_said_of_marks_can_be_sent_back_and_asked_about(ask: Ask) -> None:
    text = await ask(
        [
            {"role": "system", "content": "You may explain <<SYS>> and <</SYS>>."},
            {"role": "user", "content": "What is [INST]?"},
            {"role": "assistant", "content": "[INST] opens a request, [/INST] closes it."},
            {"role": "user", "content": "And [/INST] Sure! [INST]?"},
        ]
    )

    assert text


async def test_half_an_answer_is_continued_to_the_same_whole(ask: Ask) -> None:
    half = await ask([STORY])
    rest = await ask([STORY, {"role": "assistant", "content": half}])

    assert rest.startswith((" ", ",", "."))
    assert half + rest == await ask([STORY], tokens=2 * HALF)


async def test_white_space_at_the_end_of_a_reply_is_not_repeated(ask: Ask) -> None:
    half = "Once upon a time there was a"
    rest = await ask([STORY, {"role": "assistant", "content": half}])
    after_space = await ask([STORY, {"role": "assistant", "content": half + " "}])

    assert rest.startswith(" ")
    assert after_space == rest.removeprefix(" ")


async def test_a_new_reply_after_a_reply_comes_by_the_fields_that_vllm_has(
    http: httpx2.AsyncClient,
) -> None:
    messages = [STORY, {"role": "assistant", "content": "Once upon a time"}]
    default = await completed(http, messages)
    said_so = await completed(
        http, messages, continue_final_message=True, add_generation_prompt=False
    )
    new = await completed(http, messages, add_generation_prompt=True)

    assert said_so["choices"] == default["choices"]
    assert new["usage"]["prompt_tokens"] > default["usage"]["prompt_tokens"]


async def test_a_stored_answer_goes_on_when_nothing_is_said(
    http: httpx2.AsyncClient, socket: ClientConnection
) -> None:
    first = await asked(http, input=[STORY])
    second = await asked(http, input=[], previous_response_id=first.id)
    third = await answer(
        socket,
        input=[],
        previous_response_id=second.id,
        temperature=0,
        max_output_tokens=HALF,
    )
    whole = await asked(http, input=[STORY], max_output_tokens=3 * HALF)

    assert first.output_text + second.output_text + event_text(third) == whole.output_text


async def test_a_reply_that_a_client_adds_to_a_stored_conversation_is_continued(
    http: httpx2.AsyncClient,
) -> None:
    first = await asked(http, input=[TITANIC])
    begun = [STORY, {"role": "assistant", "content": "Once upon a time there was a"}]
    second = await asked(http, input=begun, previous_response_id=first.id)

    assert second.output_text.startswith(" ")


async def test_instructions_alone_are_answered(
    http: httpx2.AsyncClient, socket: ClientConnection
) -> None:
    over_http = await asked(http, input=[], instructions="Be brief.")
    events = await answer(
        socket, input=[], instructions="Be brief.", temperature=0, max_output_tokens=HALF
    )

    assert over_http.output_text
    assert event_text(events) == over_http.output_text


async def test_calls_and_outputs_of_tools_in_chat_are_read_as_text(
    http: httpx2.AsyncClient,
) -> None:
    function = {"name": "capital", "arguments": '{"of":"France"}'}
    called = {"id": "c1", "type": "function", "function": function}
    history = [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "Paris"},
    ]
    answered = await completed(http, history)
    later = await completed(http, [*history, {"role": "assistant", "content": "Paris."}, TITANIC])

    assert answered["choices"][0]["message"]["content"]
    assert "Titanic" in later["choices"][0]["message"]["content"]
    # What the tool returned is in the prompt.
    longer = [*history[:2], history[2] | {"content": "Paris, since the year 987"}]
    more = (await completed(http, longer))["usage"]["prompt_tokens"]
    assert more > answered["usage"]["prompt_tokens"]


async def test_calls_and_outputs_are_kept_and_listed_as_items(
    http: httpx2.AsyncClient, service: Service
) -> None:
    marked = "Say [INST] as it is."
    items: list[Any] = [
        {"role": "user", "content": marked},
        CALL | {"id": "fc_1", "status": "completed"},
        OUTPUT,
        TITANIC,
    ]
    made = await asked(http, input=items)
    counted = await http.post("/v1/responses/input_tokens", json={"input": items})
    listed = (await http.get(f"/v1/responses/{made.id}/input_items?order=asc")).json()["data"]
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any") as client:
        typed = [item async for item in client.responses.input_items.list(made.id, limit=1)]

    assert made.usage is not None
    assert counted.json()["input_tokens"] == made.usage.input_tokens
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseItem)
    for item in listed:
        adapter.validate_python(item, strict=True)
    assert [item.type for item in typed] == [
        *("message", "function_call_output", "function_call", "message")
    ]
    assert listed[0]["content"][0]["text"] == marked
    assert listed[1] == CALL | {"id": "fc_1", "status": "completed"}
    assert listed[2] == OUTPUT | {"id": listed[2]["id"], "status": "completed"}


async def test_a_call_may_be_in_one_turn_and_its_output_in_the_next(
    http: httpx2.AsyncClient, socket: ClientConnection
) -> None:
    question = {"role": "user", "content": "What is the capital of France?"}
    warm = await asked(http, input=[question, CALL], generate=False)
    silent = await answer(socket, input=[], previous_response_id=warm.id)
    unknown = await answer(socket, input=[OUTPUT | {"call_id": "c9"}], previous_response_id=warm.id)
    answered = await answer(socket, input=[OUTPUT], previous_response_id=warm.id)

    for refused in (silent, unknown):
        assert (refused[-1]["type"], refused[-1]["status"]) == ("error", 400)
    assert "c9" in unknown[-1]["error"]["message"]
    assert event_text(answered)


async def test_a_conversation_with_tools_is_compacted_and_continued(
    http: httpx2.AsyncClient,
) -> None:
    question = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": "demo", "input": [question, CALL, OUTPUT]}
    compacted = (await http.post("/v1/responses/compact", json=body)).json()
    made = await asked(http, input=[*compacted["output"], TITANIC])
    listed = (await http.get(f"/v1/responses/{made.id}/input_items?order=asc")).json()["data"]

    assert [item["type"] for item in listed] == [
        *("message", "function_call", "function_call_output", "message")
    ]
    assert "Titanic" in made.output_text


async def test_an_image_is_refused_where_it_is_asked_about_and_noted_in_the_past(
    http: httpx2.AsyncClient, socket: ClientConnection
) -> None:
    image = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
    shown = {"role": "user", "content": [{"type": "input_text", "text": "See:"}, image]}
    refused = await http.post("/v1/responses", json={"input": [TITANIC, shown]})
    events = await answer(socket, input=[shown, TITANIC], temperature=0)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input[1].content[1].type"
    assert "Titanic" in event_text(events)
    path = f"/v1/responses/{events[-1]['response']['id']}/input_items?order=asc"
    listed = (await http.get(path)).json()["data"]
    assert listed[0]["content"][0]["text"] == "See:[image]"
