"""An agent with two tools: pip install openai-agents"""

import asyncio

from agents import Agent, ModelSettings, OpenAIProvider, RunConfig, Runner, function_tool


@function_tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    # In one piece: the SDK runs functions on threads.
    print(f"get_weather({city!r})\n", end="")
    return f"The weather in {city} is sunny."


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    print(f"add({a}, {b})\n", end="")
    return a + b


provider = OpenAIProvider(base_url="http://127.0.0.1:8000/v1", api_key="any")
# Tracing would send the conversation to the vendor.
config = RunConfig(model_provider=provider, tracing_disabled=True)
agent = Agent(
    name="helper",
    model="demo",
    instructions="You are a helpful assistant. Use the tools.",
    tools=[get_weather, add],
    model_settings=ModelSettings(temperature=0),
)


async def main() -> None:
    question = "What is the weather in Paris, and what is 17 plus 25?"
    print(f"> {question}")
    result = await Runner.run(agent, question, run_config=config)
    print(result.final_output)


asyncio.run(main())
