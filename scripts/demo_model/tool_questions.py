"""The questions of the evaluation about tools: held-out wordings, under schemas drawn anew.

A call must be right to the letter, and so must the words about what it returned.
"""

from collections.abc import Sequence
from random import Random

from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.offered_tools import (
    AddTool,
    WeatherTool,
    draw_add,
    draw_other,
    draw_weather,
)
from scripts.demo_model.questions import Question
from scripts.demo_model.tool_outputs import (
    add_output,
    add_said,
    draw_number,
    weather_output,
    weather_said,
)
from scripts.demo_model.tool_talk import Asked, Called, conversation
from scripts.demo_model.topics import animals, capitals, films, japanese, lists, product, small_talk
from scripts.demo_model.topics.tools import (
    CITIES,
    UNSEEN_ADD,
    UNSEEN_CITIES,
    UNSEEN_WEATHER,
)
from turnstream.prompts.tools import Offer, Tool

#: Groups whose answers are right only to the letter.
EXACT = "tools: "
_EACH = 100
_NEED_NONE = frozenset(
    each.TOPIC for each in (small_talk, films, capitals, animals, product, lists, japanese)
)


def tool_questions(others: Sequence[Question], seed: int = 0) -> list[Question]:
    """Draw the questions; equal seeds give equal questions.

    Args:
        others: the questions about everything else; of those some are asked with tools offered.
    """
    rng = Random(seed)
    asked: list[Question] = []
    for _ in range(_EACH):
        weather, add = draw_weather(rng), draw_add(rng)
        offer = _offer(rng, weather.tool, add.tool)
        one = _weather(rng, weather, rng.choice(CITIES))
        new = _weather(rng, weather, rng.choice(UNSEEN_CITIES))
        total = _add(rng, add)
        both = Asked(
            f"{one.question.rstrip('.?')} and {_first_lower(total.question)}",
            (*one.calls, *total.calls),
        )
        for group, question, calls in (
            ("weather", one, True),
            ("weather of a new city", new, True),
            ("sum", total, True),
            ("weather and sum", both, True),
            ("words about the weather", new, False),
            ("words about a sum", total, False),
            ("words about both", both, False),
        ):
            talk = conversation(DEFAULT, offer, [question], calls_last=calls)
            asked.append(Question(EXACT + group, talk, talk.turns[-1].answer))
    asked.sort(key=lambda question: question.group)
    return asked + _none_needed(rng, others)


def _none_needed(rng: Random, others: Sequence[Question]) -> list[Question]:
    simple = [q for q in others if q.group in _NEED_NONE]
    asked = []
    for question in rng.sample(simple, _EACH):
        offer = _offer(rng, draw_weather(rng).tool, draw_add(rng).tool)
        turn = question.conversation.turns[-1]
        talk = conversation(DEFAULT, offer, [Asked(turn.question, (), turn.answer)])
        asked.append(Question("none of the tools needed", talk, question.phrase))
    return asked


def _offer(rng: Random, *known: Tool) -> Offer:
    others = [draw_other(rng) for _ in range(rng.choice((0, 0, 1)))]
    tools = [*known, *others]
    return Offer(tools=tuple(rng.sample(tools, len(tools))))


def _weather(rng: Random, tool: WeatherTool, city: str) -> Asked:
    output = weather_output(rng, city)
    said = weather_said(city, output)
    called = Called(tool.tool.name, tool.arguments(city), output, said)
    return Asked(rng.choice(UNSEEN_WEATHER).replace("{city}", city), (called,))


def _add(rng: Random, tool: AddTool) -> Asked:
    a, b = draw_number(rng), draw_number(rng)
    question = rng.choice(UNSEEN_ADD).replace("{a}", str(a)).replace("{b}", str(b))
    output = add_output(rng, a, b)
    called = Called(tool.tool.name, tool.arguments(a, b), output, add_said(a, b, output))
    return Asked(question, (called,))


def _first_lower(text: str) -> str:
    return text[0].lower() + text[1:]
