"""A warm-up is answered at once with an empty response, and its input joins the conversation."""

from openai.types.responses import Response
from websockets.asyncio.client import ClientConnection

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import code_of, create, end, event
from turnstream.turns.turn import Message


async def test_a_warm_up_ends_at_once_and_its_messages_belong_to_the_conversation(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    await create(socket, input="One?", generate=False, store=False)
    created, completed = await event(socket), await event(socket)
    await create(socket, input="Two?", previous_response_id=completed["response"]["id"])
    claimed = await worker.claim()

    assert (created["type"], completed["type"]) == ("response.created", "response.completed")
    assert [created["sequence_number"], completed["sequence_number"]] == [0, 1]
    final = Response.model_validate(completed["response"], strict=True)
    assert (final.status, final.output) == ("completed", [])
    assert final.usage is not None
    assert final.usage.total_tokens == 0
    assert [m.text for m in claimed.messages if m.text] == ["One?", "Two?"]


async def test_a_question_of_a_warm_up_is_answered_without_repeating_it(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    await create(socket, input="One?", prompt_cache_options={"prewarm": True})
    first = (await end(socket))["response"]["id"]
    await create(socket, input=[], generate=False, previous_response_id=first)
    second = (await end(socket))["response"]["id"]
    await create(socket, input=[], previous_response_id=second)
    claimed = await worker.claim()

    assert [m for m in claimed.messages if m.text] == [Message("user", "One?")]


async def test_a_coding_agents_first_two_frames_make_one_question(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    # As Codex sends them: the whole input first, then only the new items.
    defaults = {
        "instructions": "You are a coding agent.",
        "tools": [
            {"type": "function", "name": "shell", "parameters": {"type": "object"}},
            {"type": "namespace", "name": "mcp"},
            {"type": "web_search"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread",
        "client_metadata": {"x-codex": "1"},
    }
    context = [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Sandbox."}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "<cwd>/</cwd>"}],
        },
    ]
    await create(socket, **defaults, input=context, generate=False)
    warm = (await end(socket))["response"]["id"]
    question = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Fix it."}],
    }
    await create(socket, **defaults, input=[question], previous_response_id=warm)
    claimed = await worker.claim()

    assert [(m.role, m.text) for m in claimed.messages if m.text] == [
        ("system", "Sandbox."),
        ("user", "<cwd>/</cwd>"),
        ("user", "Fix it."),
    ]
    assert claimed.request.instructions == "You are a coding agent."


async def test_an_empty_warm_up_leaves_nothing_to_answer(socket: ClientConnection) -> None:
    await create(socket, input=[], generate=False)
    empty = (await end(socket))["response"]["id"]
    await create(socket, input=[], previous_response_id=empty)

    assert code_of(await end(socket)) == ("invalid_value", 400)
