"""Two turns at the same time on one socket, each on its own lane: pip install openai websockets"""

import asyncio

from openai import AsyncOpenAI

QUESTIONS = {"film": "Do you know the Titanic movie?", "cat": "Tell me a story about a cat."}


async def main() -> None:
    answers = dict.fromkeys(QUESTIONS, "")
    running = set(QUESTIONS)
    async with (
        AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any") as client,
        client.responses.connect() as connection,
    ):
        for lane, question in QUESTIONS.items():
            await connection.response.create(model="demo", input=question, stream_id=lane)
        async for event in connection:
            if event.type == "error":
                raise SystemExit(event.to_json())
            if event.type == "response.output_text.delta":
                answers[event.stream_id or ""] += event.delta
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                running.discard(event.stream_id or "")
                if not running:
                    break
    for lane, answer in answers.items():
        print(f"{lane}: {answer}")


asyncio.run(main())
