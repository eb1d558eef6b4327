"""Structured answers with the official SDKs and others, unpatched: whole and streamed."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import BadRequestError, OpenAI
from pydantic import BaseModel, Field

from harness.service import Service
from tests.programs import link_modules, run

pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

PROGRAMS = Path(__file__).parent / "programs"
MESSAGES: Any = [{"role": "user", "content": "Describe a film."}]
#: A schema that the SDK's models cannot make.
UNSERVED: Any = {"type": "object", "properties": {"a": {"not": {}}}}


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Film(BaseModel):
    """A film."""

    title: str = Field(max_length=12, description="Its name")
    year: int = Field(ge=1900, le=2100)
    seen: bool
    mood: Literal["happy", "sad"] | None
    tags: list[Literal["a", "b"]] = Field(max_length=3)
    animal: Cat | Dog


def test_a_response_is_parsed_into_a_model(client: OpenAI) -> None:
    answer = client.responses.parse(
        model="demo", input="Describe a film.", text_format=Film, temperature=1
    )

    assert isinstance(answer.output_parsed, Film)
    asked: Any = answer.text
    assert (asked.format.type, asked.format.name, asked.format.strict) == (
        "json_schema",
        "Film",
        True,
    )
    assert asked.format.schema_["properties"]["title"]["description"] == "Its name"


def test_a_streamed_response_is_parsed_into_a_model(client: OpenAI) -> None:
    with client.responses.stream(model="demo", input="Describe.", text_format=Film) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        answer = stream.get_final_response()

    assert answer.output_parsed == Film.model_validate_json(text)


def test_a_completion_is_parsed_into_a_model(client: OpenAI) -> None:
    done = client.chat.completions.parse(
        model="demo", messages=MESSAGES, response_format=Film, temperature=1, n=2
    )

    for choice in done.choices:
        assert isinstance(choice.message.parsed, Film)
        assert choice.message.refusal is None


def test_a_streamed_completion_is_parsed_into_a_model(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo", messages=MESSAGES, response_format=Film
    ) as stream:
        final = stream.get_final_completion()

    assert isinstance(final.choices[0].message.parsed, Film)


def test_a_socket_and_the_background_answer_in_the_same_form(client: OpenAI) -> None:
    form: Any = {
        "format": {"type": "json_schema", "name": "Film", "schema": Film.model_json_schema()}
    }
    whole = client.responses.create(
        model="demo", input="Describe.", text=form, temperature=0, background=True
    )
    with client.responses.connect() as connection:
        connection.response.create(model="demo", input="Describe.", text=form, temperature=0)
        for event in connection:
            if event.type in ("response.completed", "response.failed", "error"):
                break
    socket: Any = event
    with client.responses.stream(response_id=whole.id) as stream:
        stream.until_done()
    background = client.responses.retrieve(whole.id)

    assert Film.model_validate_json(socket.response.output_text)
    assert background.output_text == socket.response.output_text


def test_other_grammars_are_an_extra_field(client: OpenAI) -> None:
    said = client.chat.completions.create(
        model="demo",
        messages=MESSAGES,
        extra_body={"structured_outputs": {"choice": ["yes", "no"]}},
    )
    matched = client.responses.create(
        model="demo", input="A time?", extra_body={"structured_outputs": {"regex": "[0-2]\\d:00"}}
    )

    assert said.choices[0].message.content in ("yes", "no")
    assert matched.output_text[2:] == ":00"


def test_a_schema_that_is_not_served_is_refused_with_its_path(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(
            model="demo",
            input="Hi",
            text={"format": {"type": "json_schema", "name": "x", "schema": UNSERVED}},
        )

    assert refused.value.param == "text.format.schema.properties.a.not"
    assert refused.value.code == "invalid_json_schema"


def test_an_answer_cut_at_its_limit_is_incomplete_and_has_no_closing_made_up(
    client: OpenAI,
) -> None:
    form: Any = {"format": {"type": "json_object"}}
    ask: Any = {"model": "demo", "input": "Describe.", "text": form, "temperature": 0}
    short = client.responses.create(**ask, max_output_tokens=3)
    longer = client.responses.create(**ask, max_output_tokens=12)

    assert short.status == "incomplete"
    assert longer.output_text.startswith(short.output_text)
    assert not short.output_text.isspace()


def test_models_of_the_node_sdk_and_of_vercel_are_filled_and_tools_run_in_a_loop(
    service: Service, node_modules: Path, tmp_path: Path
) -> None:
    link_modules(tmp_path, node_modules)
    program = shutil.copy(PROGRAMS / "structured.mjs", tmp_path)

    said = json.loads(run("node", program, url=service.url))

    films = [each for each in said.values() if "title" in each]
    assert len(films) == 7
    assert {tuple(film) for film in films} == {("title", "year", "seen", "mood")}
    for protocol in ("chat", "responses"):
        assert said[f"{protocol} tools"] == ["tool-calls", "stop"]
        assert said[f"{protocol} outputs"][0] in ("sunny in Paris", "sunny in Rome")
        assert said[f"{protocol} words"]


def test_models_of_langchain_are_filled_and_tools_called(
    service: Service, client_python: Path
) -> None:
    said = json.loads(run(client_python, PROGRAMS / "structured_langchain.py", url=service.url))

    assert said.keys() == {"chat", "chat tools", "responses", "responses tools", "schema"}
    for protocol in ("chat", "responses"):
        assert said[f"{protocol} tools"]["call"].keys() == {"city"}
        assert said[f"{protocol} tools"]["words"]
