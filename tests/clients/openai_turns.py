"""What tests ask through the official Python SDK, and what they take from the events."""

from typing import Any

from openai.resources.responses.responses import AsyncResponsesConnection, ResponsesConnection
from openai.types.responses import ResponsesServerEvent

TITANIC = "Do you know the movie Titanic?"
DIRECTOR = "Who is the director of the movie?"
ENDLESS = {"frequency_penalty": -2}
#: Repeats itself (a negative penalty), so that it does not end before its limit.
LONG: dict[str, Any] = {
    "input": "Write a long story.",
    "temperature": 0,
    "max_output_tokens": 1500,
    "extra_body": ENDLESS,
}
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


def turn(connection: ResponsesConnection, **fields: Any) -> list[ResponsesServerEvent]:
    connection.response.create(model="demo", **fields)
    events: list[ResponsesServerEvent] = []
    for event in connection:
        events.append(event)
        if event.type in TERMINAL:
            break
    return events


async def rest(connection: AsyncResponsesConnection) -> list[ResponsesServerEvent]:
    events: list[ResponsesServerEvent] = []
    async for event in connection:
        events.append(event)
        if event.type in TERMINAL:
            break
    return events


def said(events: list[Any]) -> str:
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")
