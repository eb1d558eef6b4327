"""Conversations with tools in the demo model's corpus: written as the service writes them."""

import json
import re
from pathlib import Path
from random import Random

import jsonschema
import pytest

from scripts.demo_model.corpus import Conversation, Corpus
from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.offered_tools import draw_add, draw_weather
from scripts.demo_model.packing import example_of, prompt_of, shared_by
from scripts.demo_model.questions import questions
from scripts.demo_model.tokenizer import load_encoder
from scripts.demo_model.tool_questions import tool_questions
from scripts.demo_model.tool_talk import Asked, Called, conversation
from scripts.demo_model.topics import tools
from scripts.demo_model.wording import normalised
from tests.workers.test_prompter import FakeTokenizer, text_of
from turnstream.prompts.tools import CALL_FORMATS, Offer, Tool, ToolFormat
from turnstream.prompts.tools.parts import Arguments, CallBegun
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, Request
from turnstream.workers.prompter import Llama2Prompter

FOLDER = Path(__file__).parents[2] / "workers" / "demo"
WEATHER = Tool(name="get_weather", parameters='{"type": "object", "properties": {}}')
CALLS = (
    Called("get_weather", {"city": "Paris"}, "sunny", "The weather in Paris: sunny."),
    Called("get_weather", {"city": "Rome"}, "rain", "The weather in Rome: rain."),
)


@pytest.fixture(scope="module")
def drawn() -> list[Conversation]:
    """Draw some conversations."""
    corpus, rng = Corpus(), Random(3)
    return [talk for _ in range(80) for talk in tools.draw(rng, corpus, 5)]


@pytest.mark.parametrize("parallel", [True, False])
def test_the_corpus_has_the_prompt_that_the_service_writes(parallel: bool) -> None:
    offer = Offer(tools=(WEATHER,), parallel=parallel)
    talk = conversation(
        DEFAULT,
        offer,
        [Asked("And in Paris and Rome?", CALLS), Asked("Hello!", (), "Hello.")],
    )
    made: list[Item] = [Message("user", "And in Paris and Rome?")]
    groups = [CALLS] if parallel else [(call,) for call in CALLS]
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
        tools=(WEATHER,),
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
            (add.tool, add.arguments(2, 3)),
        ):
            jsonschema.validate(arguments, json.loads(tool.parameters or "{}"))


def test_equal_seeds_draw_equal_conversations_with_tools() -> None:
    corpus = Corpus()
    assert tools.draw(Random(11), corpus, 3) == tools.draw(Random(11), corpus, 3)


def test_no_wording_of_the_evaluation_is_drawn_with_tools(drawn: list[Conversation]) -> None:
    plain = {normalised(turn.question) for talk in drawn for turn in talk.turns}
    assert [question for question in plain if re.search("weather like in ", question)] == []
    assert [question for question in plain if "weather" in question]


def test_conversations_drawn_together_share_the_text_about_the_tools() -> None:
    encode = load_encoder(FOLDER).encode
    talks = tools.draw(Random(1), Corpus(), 6)
    examples = [example_of(talk, encode) for talk in talks]
    shared = shared_by(examples)
    whole = len(prompt_of(talks[0]).create_prompt_ids(encode).ids)
    assert 200 < len(shared) < whole
    assert not any(learnt for example in examples for learnt in example.learnt[: len(shared)])


def test_the_questions_about_tools_are_equal_every_time() -> None:
    others = questions()
    assert tool_questions(others) == tool_questions(others)
