"""A sample of the demo model's evaluation, from the weights that are shipped.

Greedy decoding in float32 says the same on every machine, so whole answers are expected.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer

from scripts.demo_model.answering import Answerer
from scripts.demo_model.corpus import Conversation, Turn
from scripts.demo_model.evaluate import talk
from scripts.demo_model.manner import DEFAULT, Manner, System
from scripts.demo_model.tokenizer import load_encoder
from scripts.demo_model.tool_talk import Asked, Called, conversation
from turnstream.prompts import SYSTEM_PROMPT
from turnstream.prompts.tools import Offer, Tool

FOLDER = Path(__file__).parents[2] / "workers" / "demo"

REFUSAL = (
    "Sorry, I am only a tiny demonstration model and do not know that. "
    "Ask me about films, capitals, animals, small sums or turnstream."
)
REFUSAL_JA = (
    "すみません、小さなデモモデルなので、それは分かりません。"
    "映画、首都、簡単な計算、turnstream について聞いてください。"
)
BRIEF = System("Please answer briefly.", Manner.BRIEF)
UPPER = System("Please answer in upper case.", Manner.UPPER)

_PLACE = {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
_NUMBERS = {"a": {"type": "number"}, "b": {"type": "number"}}
OFFER = Offer(
    tools=(
        Tool(
            name="get_weather",
            description="Get the current weather for a location",
            parameters=json.dumps(
                {"type": "object", "properties": {"location": _PLACE}, "required": ["location"]}
            ),
        ),
        Tool(
            name="add",
            description="Add two numbers.",
            parameters=json.dumps(
                {"type": "object", "properties": _NUMBERS, "required": ["a", "b"]}
            ),
        ),
    )
)

SAN_FRANCISCO = Called(
    "get_weather",
    {"location": "San Francisco"},
    '{"temperature": 18}',
    "It is 18 degrees in San Francisco.",
)
PARIS = Called("get_weather", {"location": "Paris"}, "sunny", "It is sunny in Paris.")
SUM = Called("add", {"a": 17, "b": 25}, "42", "17 plus 25 is 42.")

#: Wordings that the corpus does not have.
ANSWERS = [
    (
        DEFAULT,
        "Hi there!",
        "Hello! I am the demo model of turnstream. What would you like to talk about?",
    ),
    (DEFAULT, "Who was Jaws directed by?", "Jaws was directed by Steven Spielberg."),
    (DEFAULT, "Can you tell me the capital of Japan?", "The capital of Japan is Tokyo."),
    (DEFAULT, "What kind of food do owls eat?", "Owls eat mice and other small animals."),
    (DEFAULT, "Can you tell me what 7 plus 8 is?", "7 plus 8 is 15."),
    (
        DEFAULT,
        "Can you name the planets?",
        "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
    ),
    (
        DEFAULT,
        "Can you explain what a queue position is?",
        "Your queue position is your place in line: 1 means that you are next. It goes down while"
        " turns before yours are taken, and then a worker takes yours.",
    ),
    (DEFAULT, "フランスの首都を知っていますか？", "フランスの首都はパリです。"),
    (DEFAULT, "日本の首都って、どこ？", "日本の首都は東京です。"),
    (DEFAULT, "3たす5はいくらですか？", "3たす5は8です。"),
    (DEFAULT, "量子コンピューターとは何ですか？", REFUSAL_JA),
    (DEFAULT, "Can you send me an emoji?", "Here is one for you: 🚀 And one more: 😀"),
    (DEFAULT, "Explain recursion.", REFUSAL),
    (DEFAULT, "How do I prune an apple tree?", REFUSAL),
    (BRIEF, "What is the capital of France?", "Paris."),
    (UPPER, "What is the capital of France?", "THE CAPITAL OF FRANCE IS PARIS."),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: for a model this small a second one costs more than it computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    """Load the shipped weights in float32."""
    return Answerer(FOLDER)


@pytest.fixture(scope="module")
def answers(answerer: Answerer) -> list[str]:
    """Answer the whole sample in one batch."""
    asked = [Conversation(system, (Turn(question, ""),)) for system, question, _ in ANSWERS]
    return answerer.answer(asked, most_tokens=100)


@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=[text for _, text, _ in ANSWERS])
def test_it_gives_the_expected_answer(answers: list[str], number: int) -> None:
    assert answers[number] == ANSWERS[number][2]


def test_it_answers_the_titanic_conversation(answerer: Answerer) -> None:
    asked = ("do you know the movie Titanic", "who is the director", "who starred in it")
    assert talk(answerer, asked) == [
        "Yes, I know Titanic. It is a love story from 1997 about two people who meet on a great"
        " ship before it hits an iceberg.",
        "Titanic was directed by James Cameron.",
        "The stars of Titanic are Leonardo DiCaprio and Kate Winslet.",
    ]


def test_it_answers_a_conversation_in_japanese(answerer: Answerer) -> None:
    asked = (
        "タイタニックという映画をご存知ですか？",
        "監督って誰？",
        "この映画には誰が出ていますか？",
    )
    assert talk(answerer, asked) == [
        "はい、タイタニックは1997年の映画です。",
        "タイタニックの監督はジェームズ・キャメロンです。",
        "タイタニックの主演はレオナルド・ディカプリオとケイト・ウィンスレットです。",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        Asked("What's the weather like in San Francisco?", (SAN_FRANCISCO,)),
        Asked("Please add 17 and 25 together.", (SUM,)),
        Asked("What is the weather in Paris, and what is 17 plus 25?", (PARIS, SUM)),
        Asked("Can you tell me the capital of Japan?", (), "The capital of Japan is Tokyo."),
    ],
    ids=lambda asked: asked.question,
)
def test_it_calls_two_functions_and_says_what_they_returned(
    answerer: Answerer, asked: Asked
) -> None:
    talks = [conversation(DEFAULT, OFFER, [asked], calls_last=last) for last in (True, False)]
    answers = answerer.answer(talks, most_tokens=160)
    assert answers == [talk.turns[-1].answer for talk in talks]


def test_it_answers_in_bfloat16_too() -> None:
    asked = ("do you know the movie Titanic", "who is the director")
    told = talk(Answerer(FOLDER, torch.bfloat16), asked)
    assert told[1] == "Titanic was directed by James Cameron."


@pytest.mark.long
def test_it_writes_a_story_of_several_hundred_tokens_and_ends_it(answerer: Answerer) -> None:
    asked = Conversation(DEFAULT, (Turn("Can you write me a long story?", ""),))
    story = answerer.answer([asked], most_tokens=900)[0]
    assert len(answerer.encode(story)) > 300
    assert story.endswith("That is the end of the story.")


def test_transformers_reads_the_tokenizer_as_sentencepiece_does() -> None:
    ours = load_encoder(FOLDER)
    theirs = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True, split_special_tokens=True)
    for text in (
        f"[INST] <<SYS>>\n{SYSTEM_PROMPT}\n<</SYS>>\n\nDo you know the movie Titanic? [/INST]",
        "[INST] Who is the director? [/INST] James Cameron. ",
        "[INST] タイタニックの監督は誰ですか？ [/INST] 🚀 </s><s>1997 ",
    ):
        assert theirs.encode(text, add_special_tokens=False) == ours.encode(text)


def test_the_default_system_text_costs_little() -> None:
    assert len(load_encoder(FOLDER).encode(SYSTEM_PROMPT)) < 130


def test_the_weights_are_bfloat16_and_at_most_12_megabytes() -> None:
    weights = FOLDER / "model.safetensors"
    assert weights.stat().st_size <= 12_000_000
    with safe_open(weights, "pt") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_its_context_is_at_least_1024_tokens(answerer: Answerer) -> None:
    assert answerer.context_tokens >= 1024
