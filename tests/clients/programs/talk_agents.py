"""Talks through the OpenAI Agents SDK and prints, as JSON, what came of it.

Run with OPENAI_BASE_URL, OPENAI_API_KEY and `socket` or `http`.
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


def main() -> None:
    print(json.dumps(asyncio.run(talk(sys.argv[1]))))


async def talk(transport: str) -> dict[str, str]:
    """Chat, stream, go on and stop."""
    provider = OpenAIProvider(use_responses=True, use_responses_websocket=transport == "socket")
    # What is said is not to be told to the vendor.
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    agent = Agent(name="demo", model="demo", model_settings=ModelSettings(temperature=0))
    said: dict[str, str] = {}

    whole = await Runner.run(agent, "Do you know the movie Titanic?", run_config=config)
    said["chat"] = whole.final_output

    streamed = Runner.run_streamed(agent, "Do you know the movie Titanic?", run_config=config)
    said["stream"] = await text_of(streamed)
    said["stream_final"] = streamed.final_output

    # By the server's memory, and by sending everything again.
    answer = await Runner.run(
        agent,
        "Who is the director of the movie?",
        run_config=config,
        previous_response_id=streamed.last_response_id,
    )
    said["continue"] = answer.final_output
    session = SQLiteSession("a conversation")
    await Runner.run(agent, "Do you know the movie Titanic?", run_config=config, session=session)
    answer = await Runner.run(
        agent, "Who is the director of the movie?", run_config=config, session=session
    )
    said["session"] = answer.final_output

    # By a conversation that the server keeps: as the session's store, and as the runner's own.
    kept = OpenAIConversationsSession(openai_client=AsyncOpenAI())
    await Runner.run(agent, "Do you know the movie Titanic?", run_config=config, session=kept)
    answer = await Runner.run(
        agent, "Who is the director of the movie?", run_config=config, session=kept
    )
    said["kept_session"] = answer.final_output
    said["kept_items"] = str(len(await kept.get_items()))
    popped: Any = await kept.pop_item()
    said["kept_last"] = popped["content"][0]["text"]
    said["kept_before"] = str(len(await kept.get_items()))
    conversation = await AsyncOpenAI().conversations.create()
    for question in ("Do you know the movie Titanic?", "Who is the director of the movie?"):
        answer = await Runner.run(
            agent, question, run_config=config, conversation_id=conversation.id
        )
    said["conversation"] = answer.final_output
    await kept.clear_session()

    # The model calls no tools; that some are offered does no harm.
    handy = agent.clone(tools=[director_of])
    answer = await Runner.run(handy, "Do you know the movie Titanic?", run_config=config)
    said["tools"] = answer.final_output

    long = agent.clone(model_settings=ModelSettings(temperature=2, max_tokens=1500))
    stopped = Runner.run_streamed(long, "Write a long story.", run_config=config)
    said["stop"] = await text_of(stopped, most=5)
    said["after"] = (await Runner.run(agent, "Hello", run_config=config)).final_output
    return said


async def text_of(run: RunResultStreaming, most: int | None = None) -> str:
    """Read a stream's text; stop it after so many pieces."""
    pieces: list[str] = []
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
            if len(pieces) == most:
                run.cancel()
    return "".join(pieces)


if __name__ == "__main__":
    main()
