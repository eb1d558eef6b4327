"""Holds conversations through the OpenAI Agents SDK and prints the answers as JSON, by transport.

Run with OPENAI_BASE_URL, OPENAI_API_KEY and the transports: `socket`, `http` or both.
"""

import asyncio
import json
import sys
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIProvider,
    RunConfig,
    Runner,
    RunResultStreaming,
    SQLiteSession,
    function_tool,
)
from openai import AsyncOpenAI


@function_tool
def director_of(film: str) -> str:
    """Look up who directed a film."""
    return f"nobody directed {film}"


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main() -> None:
    print(json.dumps({transport: asyncio.run(talk(transport)) for transport in sys.argv[1:]}))


async def talk(transport: str) -> dict[str, str]:
    """Return the answers of whole, streamed, continued and stopped runs."""
    provider = OpenAIProvider(use_responses=True, use_responses_websocket=transport == "socket")
    # Tracing would send the conversation to the vendor.
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    agent = Agent(name="demo", model="demo", model_settings=ModelSettings(temperature=0))
    answers: dict[str, str] = {}

    whole = await Runner.run(agent, "Do you know the movie Titanic?", run_config=config)
    answers["chat"] = whole.final_output

    streamed = Runner.run_streamed(agent, "Do you know the movie Titanic?", run_config=config)
    answers["stream"] = await text_of(streamed)
    answers["stream_final"] = streamed.final_output

    # With the history that the server stores, and with the client's own.
    answer = await Runner.run(
        agent,
        "Who is the director of the movie?",
        run_config=config,
        previous_response_id=streamed.last_response_id,
    )
    answers["continue"] = answer.final_output
    session = SQLiteSession("a conversation")
    await Runner.run(agent, "Do you know the movie Titanic?", run_config=config, session=session)
    answer = await Runner.run(
        agent, "Who is the director of the movie?", run_config=config, session=session
    )
    answers["session"] = answer.final_output

    # By a conversation that the server keeps: as the session's store, and as the runner's own.
    kept = OpenAIConversationsSession(openai_client=AsyncOpenAI())
    await Runner.run(agent, "Do you know the movie Titanic?", run_config=config, session=kept)
    answer = await Runner.run(
        agent, "Who is the director of the movie?", run_config=config, session=kept
    )
    answers["kept_session"] = answer.final_output
    answers["kept_items"] = str(len(await kept.get_items()))
    popped: Any = await kept.pop_item()
    answers["kept_last"] = popped["content"][0]["text"]
    answers["kept_before"] = str(len(await kept.get_items()))
    conversation = await AsyncOpenAI().conversations.create()
    for question in ("Do you know the movie Titanic?", "Who is the director of the movie?"):
        answer = await Runner.run(
            agent, question, run_config=config, conversation_id=conversation.id
        )
    answers["conversation"] = answer.final_output
    await kept.clear_session()

    # The model calls no tools; offering some must not fail.
    handy = agent.clone(tools=[director_of])
    answer = await Runner.run(handy, "Do you know the movie Titanic?", run_config=config)
    answers["tools"] = answer.final_output

    # Where it must call, the library asks for words once it has the output.
    forced = ModelSettings(tool_choice="required", temperature=0)
    loop = await Runner.run(
        agent.clone(tools=[director_of, add], model_settings=forced),
        "Who directed Titanic?",
        run_config=config,
    )
    answers["loop"] = " ".join(item.type for item in loop.new_items)

    long = agent.clone(model_settings=ModelSettings(temperature=0, max_tokens=1500))
    stopped = Runner.run_streamed(long, "Write a long story.", run_config=config)
    answers["stop"] = await text_of(stopped, most=5)
    answers["after"] = (await Runner.run(agent, "Hello", run_config=config)).final_output
    return answers


async def text_of(run: RunResultStreaming, most: int | None = None) -> str:
    """Read a stream's text; cancel it after `most` deltas."""
    pieces: list[str] = []
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
            if len(pieces) == most:
                run.cancel()
    return "".join(pieces)


if __name__ == "__main__":
    main()
