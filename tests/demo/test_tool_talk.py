"""Conversations with tools in the demo model's corpus: written as the service writes them."""

import json
from random import Random

import jsonschema
import pytest

from scripts.demo_model.corpus import Conversation, Corpus
from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.offered_tools import draw_add, draw_weather
from scripts.demo_model.packing import prompt_of
from scripts.demo_model.questions import questions
from scripts.demo_model.tool_questions import tool_questions
from scripts.demo_model.tool_talk import Asked, Called, conversation
from scripts.demo_model.topics import repeat, tools
from scripts.demo_model.wording import normalised
from tests.workers.test_prompter import FakeTokenizer, text_of
from turnstream.prompts.tools import CALL_FORMATS, Offer, Tool, ToolFormat
from turnstream.prompts.tools.parts import Arguments, CallBegun
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, Request
from turnstream.workers.prompter import Llama2Prompter

WEATHER = Tool(name="get_weather", parameters='{"type": "object", "properties": {}}')
CALLS = (
    Called("get_weather", {"city": "Paris"}, "sunny", "The weather in Paris: sunny."),
    Called("get_weather", {"city": "Rome"}, "rain", "The weather in Rome: rain."),
)


@pytest.fixture(scope="module")
def drawn() -> list[Conversation]:
    """Draw some conversations."""
    corpus, rng = Corpus(), Random(3)
    return [tools.draw(rng, corpus) for _ in range(400)]


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("offered", [True, False])
def test_the_corpus_has_the_prompt_that_the_service_writes(offered: bool, parallel: bool) -> None:
    offer = Offer(tools=(WEATHER,), parallel=parallel)
    talk = conversation(
        DEFAULT,
        offer if offered else None,
        [Asked("And in Paris and Rome?", CALLS), Asked("Hello!", (), "Hello.")],
    )
    made: list[Item] = [Message("user", "And in Paris and Rome?")]
    groups = [CALLS] if parallel or not offered else [(call,) for call in CALLS]
    for group in groups:
        made += [
            FunctionCall(call_id=call.output, name=call.name, arguments=json.dumps(call.arguments))
            for call in group
        ]
        made += [FunctionCallOutput(call_id=call.output, output=call.output) for call in group]
    said = "The weather in Paris: sunny. The weather in Rome: rain."
    made += [Message("assistant", said), Message("user", "Hello!")]
    request = Request(
        instructions=None,
        sampling=SamplingParams(),
        tools=(WEATHER,) if offered else (),
        parallel_tool_calls=parallel,
    )

    tokenizer = FakeTokenizer()
    ids = Llama2Prompter(tokenizer).ids(made, request, limit=10_000)
    assert prompt_of(talk).create_prompt().removesuffix(" ") == text_of(ids)


def test_calls_are_learnt_as_the_service_reads_them() -> None:
    offer = Offer(tools=(WEATHER,))
    talk = conversation(DEFAULT, offer, [Asked("Weather?", CALLS)], calls_last=True)

    reader = CALL_FORMATS[ToolFormat.TURNSTREAM].reader(offer)
    parts = [*reader.feed(talk.turns[-1].answer), *reader.finish(cut=False)]
    names = [part.name for part in parts if isinstance(part, CallBegun)]
    arguments = [json.loads(part.text) for part in parts if isinstance(part, Arguments)]
    assert names == ["get_weather", "get_weather"]
    assert arguments == [{"city": "Paris"}, {"city": "Rome"}]


def test_arguments_validate_by_the_schemas_that_are_drawn() -> None:
    rng = Random(5)
    for _ in range(200):
        weather, add = draw_weather(rng), draw_add(rng)
        for tool, arguments in (
            (weather.tool, weather.arguments("Paris")),
            (weather.tool, weather.arguments("Paris", "celsius")),
            (add.tool, add.arguments(2, 3)),
        ):
            jsonschema.validate(arguments, json.loads(tool.parameters or "{}"))


def test_equal_seeds_draw_equal_conversations_with_tools() -> None:
    corpus = Corpus()
    assert tools.draw(Random(11), corpus) == tools.draw(Random(11), corpus)


def test_no_wording_or_city_of_the_evaluation_is_drawn_with_tools(
    drawn: list[Conversation],
) -> None:
    asked = {turn.question for talk in drawn for turn in talk.turns}
    for city in tools.UNSEEN_CITIES:
        assert not [question for question in asked if city in question]
    plain = {normalised(question) for question in asked}
    like = [q for q in plain if "weather like in " in q and q.startswith("what is")]
    assert like == []


def test_the_questions_about_tools_are_equal_every_time() -> None:
    others = questions()
    assert tool_questions(others) == tool_questions(others)


def test_a_text_to_be_repeated_is_in_its_question() -> None:
    rng = Random(7)
    for _ in range(200):
        [turn] = repeat.draw(rng).turns
        assert turn.answer.strip("{}") in turn.question
