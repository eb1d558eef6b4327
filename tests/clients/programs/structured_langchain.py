"""Asks for structured answers with LangChain and prints them; with OPENAI_BASE_URL and a key."""

import json
from typing import Literal

from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field


class Film(BaseModel):
    """A film."""

    title: str = Field(max_length=12)
    year: int = Field(ge=1900, le=2100)
    mood: Literal["happy", "sad"] | None = None


said = {}
for name, responses in (("chat", False), ("responses", True)):
    model = ChatOpenAI(model="demo", use_responses_api=responses, temperature=1)
    film = model.with_structured_output(Film, method="json_schema").invoke("Describe a film.")
    assert isinstance(film, Film)
    said[name] = film.model_dump()
plain = ChatOpenAI(model="demo").with_structured_output(
    Film.model_json_schema(), method="json_schema"
)
said["schema"] = Film.model_validate(plain.invoke("Describe a film.")).model_dump()
print(json.dumps(said))
