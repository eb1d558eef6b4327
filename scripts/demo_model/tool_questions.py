"""The questions of the evaluation about tools: held-out wordings, under schemas drawn anew.

A call must be right to the letter, and so must the words about what it returned.
"""

from collections.abc import Sequence
from random import Random

from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.offered_tools import draw_add, draw_weather
from scripts.demo_model.questions import Question
from scripts.demo_model.tool_talk import Asked, conversation
from scripts.demo_model.topics import animals, capitals, films, japanese, lists, product, small_talk
from scripts.demo_model.topics.tools import (
    UNSEEN_ADD,
    UNSEEN_WEATHER,
    add_asked,
    joint,
    weather_asked,
)
from turnstream.prompts.tools import Offer

#: Groups whose answers are right only to the letter.
EXACT = "tools: "
_EACH = 60
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
        tools = [weather.tool, add.tool]
        offer = Offer(tools=tuple(rng.sample(tools, 2)))
        one = weather_asked(rng, weather, UNSEEN_WEATHER, varied=False)
        total = add_asked(rng, add, UNSEEN_ADD, varied=False)
        for group, question, calls in (
            ("weather", one, True),
            ("sum", total, True),
            ("weather and sum", joint(rng, one, total), True),
            ("words about the weather", one, False),
            ("words about a sum", total, False),
            ("words about both", joint(rng, one, total), False),
        ):
            talk = conversation(DEFAULT, offer, [question], calls_last=calls)
            asked.append(Question(EXACT + group, talk, talk.turns[-1].answer))
    asked.sort(key=lambda question: question.group)
    return asked + _none_needed(rng, others)


def _none_needed(rng: Random, others: Sequence[Question]) -> list[Question]:
    simple = [q for q in others if q.group in _NEED_NONE]
    asked = []
    for question in rng.sample(simple, _EACH):
        offer = Offer(tools=(draw_weather(rng).tool, draw_add(rng).tool))
        turn = question.conversation.turns[-1]
        talk = conversation(DEFAULT, offer, [Asked(turn.question, (), turn.answer)])
        asked.append(Question("none of the tools needed", talk, question.phrase))
    return asked
