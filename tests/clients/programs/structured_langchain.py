"""Asks for structured answers and calls of tools with LangChain; with OPENAI_BASE_URL and a key."""

import json
from typing import Literal

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field


class Film(BaseModel):
    """A film."""

    title: str = Field(max_length=12)
    year: int = Field(ge=1900, le=2100)
    mood: Literal["happy", "sad"] | None = None


def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


said = {}
for name, responses in (("chat", False), ("responses", True)):
    model = ChatOpenAI(model="demo", use_responses_api=responses, temperature=1)
    film = model.with_structured_output(Film, method="json_schema").invoke("Describe a film.")
    assert isinstance(film, Film)
    said[name] = film.model_dump()
    called = model.with_structured_output(Film, method="function_calling").invoke("A film?")
    assert isinstance(called, Film)
    question = HumanMessage("What is the weather?")
    handy = model.bind_tools([get_weather], tool_choice="get_weather")
    answer = handy.invoke([question])
    pieces = list(handy.stream([question]))
    whole = sum(pieces[1:], pieces[0])
    [call], [streamed] = answer.tool_calls, whole.tool_calls
    assert streamed["args"]["city"] in ("Paris", "Rome")
    output = ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])
    words = model.bind_tools([get_weather]).invoke([question, answer, output])
    said[f"{name} tools"] = {"call": call["args"], "words": words.text}
plain = ChatOpenAI(model="demo").with_structured_output(
    Film.model_json_schema(), method="json_schema"
)
said["schema"] = Film.model_validate(plain.invoke("Describe a film.")).model_dump()
print(json.dumps(said))
