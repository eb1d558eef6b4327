"""An agent that talks over the socket: pip install openai-agents"""

import asyncio

from agents import Agent, OpenAIProvider, RunConfig, Runner, SQLiteSession

provider = OpenAIProvider(
    base_url="http://127.0.0.1:8000/v1",
    api_key="any",
    use_responses=True,
    use_responses_websocket=True,
)
# Tracing would send the conversation to the vendor.
config = RunConfig(model_provider=provider, tracing_disabled=True)
agent = Agent(name="film friend", model="demo")


async def main() -> None:
    session = SQLiteSession("films")
    for question in ("Do you know the Titanic movie?", "Who is the director of the movie?"):
        print(f"> {question}")
        run = Runner.run_streamed(agent, question, run_config=config, session=session)
        async for event in run.stream_events():
            if event.type != "raw_response_event":
                continue
            if event.data.type == "response.output_text.delta":
                print(event.data.delta, end="", flush=True)
        print()


asyncio.run(main())
