"""Conversations in which the model may call `get_weather` and `add`.

It knows some cities by heart and numbers of up to two digits; it does not copy other names.
"""

import re
from collections.abc import Sequence
from random import Random

from scripts.demo_model.corpus import Conversation, Corpus
from scripts.demo_model.manner import DEFAULT, Manner, System, draw_system
from scripts.demo_model.offered_tools import (
    ADD,
    WEATHER,
    AddTool,
    WeatherTool,
    draw_add,
    draw_weather,
)
from scripts.demo_model.reading import read_lines
from scripts.demo_model.tool_outputs import add_output, weather_output
from scripts.demo_model.tool_talk import Asked, Called, conversation
from scripts.demo_model.topics import unknown
from scripts.demo_model.wording import normalised, vary
from turnstream.prompts.tools import Offer

CITIES = read_lines("tools/cities.txt")
#: Held out for the evaluation.
UNSEEN_WEATHER = read_lines("tools/weather_unseen.txt")
UNSEEN_ADD = read_lines("tools/add_unseen.txt")
_WEATHER = read_lines("tools/weather_questions.txt")
_ADD = read_lines("tools/add_questions.txt")

_WEATHER_AGAIN = (
    "And in {city}?",
    "And {city}?",
    "And for {city}?",
    "What about {city}?",
    "How about {city}?",
)
_ADD_AGAIN = ("And {a} plus {b}?", "And {a} + {b}?", "What about {a} and {b}?", "Now {a} + {b}.")
_JOINTS = (" and ", ", and ", "? And ", ". Then ", ". Also, ", " and then ")
_INSTRUCTIONS = (
    "You are a helpful assistant. Use the tools.",
    "You are a helpful assistant with tools.",
    "Use the tools to answer.",
    "Use the functions if they help.",
    "You are a helpful agent.",
    "You can look up the weather and add numbers.",
)
_HELD_BACK = re.compile(
    "|".join(
        re.sub(r"city|\ba\b|\bb\b", ".+", normalised(line.replace("'s", " is")))
        for line in (*UNSEEN_WEATHER, *UNSEEN_ADD)
    )
)
_IS_SUM = re.compile(r"[+]|\bplus\b|\badd\b|\bsum\b|足|たす|プラス", re.IGNORECASE)
_IS_WEATHER = re.compile("weather|天気", re.IGNORECASE)


def draw(rng: Random, corpus: Corpus, count: int) -> list[Conversation]:
    """Draw conversations in which the same tools are offered: one of the two, or both."""
    weather = draw_weather(rng) if rng.random() < 0.8 else None
    add = draw_add(rng) if weather is None or rng.random() < 0.75 else None
    tools = [each.tool for each in (weather, add) if each is not None]
    choice = rng.random()
    offer = Offer(
        tools=tuple(rng.sample(tools, len(tools))),
        required=choice < 0.03,
        parallel=not 0.03 <= choice < 0.08,
    )
    system = _system(rng)
    ask = Asking(rng, corpus, system, weather, add)
    return [
        conversation(system, offer, [ask.tool()], calls_last=True)
        if offer.required
        else conversation(system, offer, ask.several(), calls_last=rng.random() < 0.5)
        for _ in range(count)
    ]


def _system(rng: Random) -> System:
    match rng.random():
        case share if share < 0.7:
            return DEFAULT
        case share if share < 0.85:
            return System(rng.choice(_INSTRUCTIONS), Manner.PLAIN)
        case _:
            system = draw_system(rng)
            while system.manner is Manner.UPPER:
                system = draw_system(rng)
            return system


class Asking:
    """Draws questions for a set of tools."""

    def __init__(
        self,
        rng: Random,
        corpus: Corpus,
        system: System,
        weather: WeatherTool | None,
        add: AddTool | None,
    ) -> None:
        self._rng = rng
        self._corpus = corpus
        self._system = system
        self._weather = weather
        self._add = add

    def several(self) -> list[Asked]:
        """Draw the questions of a conversation."""
        rng = self._rng
        asked: list[Asked] = []
        for _ in range(rng.choices((1, 2, 3), (50, 35, 15))[0]):
            if asked and asked[-1].calls and rng.random() < 0.25:
                asked.append(self.again(asked[-1]))
            elif rng.random() < 0.75:
                asked.append(self.tool())
            else:
                asked += self.other()
        return asked

    def other(self) -> list[Asked]:
        """Draw a question that needs no tool."""
        rng = self._rng
        if self._weather is None and rng.random() < 0.15:
            brief = self._system.manner is Manner.BRIEF
            asked = _varied(rng, rng.choice(_WEATHER).replace("{city}", rng.choice(CITIES)))
            return [Asked(asked, (), unknown.BRIEF if brief else unknown.ANSWER)]
        turns = self._corpus.converse(rng, self._system, rng.choice((1, 1, 2))).turns
        text = " ".join(turn.question for turn in turns)
        if (self._add and _IS_SUM.search(text)) or _IS_WEATHER.search(text):
            return self.other()
        if not all(turn.answer for turn in turns):
            return self.other()
        return [Asked(turn.question, (), turn.answer, turn.complete) for turn in turns]

    def tool(self) -> Asked:
        """Draw a question that the tools answer."""
        rng = self._rng
        if self._weather is None or self._add is None or rng.random() < 0.55:
            return self._one(rng.random() < 0.65)
        weather_first = rng.random() < 0.7
        return joint(rng, self._one(weather_first), self._one(not weather_first))

    def again(self, last: Asked) -> Asked:
        """Draw a question that goes on from one of the same kind."""
        if self._weather is not None and last.calls[-1].name == WEATHER:
            return weather_asked(self._rng, self._weather, _WEATHER_AGAIN)
        if self._add is not None and last.calls[-1].name == ADD:
            return add_asked(self._rng, self._add, _ADD_AGAIN)
        return self.tool()

    def _one(self, weather: bool) -> Asked:
        if self._weather is not None and (weather or self._add is None):
            return weather_asked(self._rng, self._weather, _WEATHER)
        assert self._add is not None
        return add_asked(self._rng, self._add, _ADD)


def joint(rng: Random, one: Asked, other: Asked) -> Asked:
    """Return one question that asks for both."""
    first, second = one.question.rstrip("?. "), other.question
    if second[1:2].islower():
        second = second[0].lower() + second[1:]
    return Asked(first + rng.choice(_JOINTS) + second, (*one.calls, *other.calls))


def weather_asked(
    rng: Random, tool: WeatherTool, wordings: Sequence[str], *, varied: bool = True
) -> Asked:
    """Draw a question about the weather, with its call."""
    city = rng.choice(CITIES)
    question = rng.choice(wordings).replace("{city}", city)
    output = weather_output(rng, city)
    called = Called(tool.tool.name, tool.arguments(city), output.text, output.said)
    return Asked(_varied(rng, question) if varied else question, (called,))


def add_asked(rng: Random, tool: AddTool, wordings: Sequence[str], *, varied: bool = True) -> Asked:
    """Draw a question for a sum, with its call."""
    a, b = (rng.randint(0, rng.choice((9, 20, 99, 99))) for _ in range(2))
    question = rng.choice(wordings).replace("{a}", str(a)).replace("{b}", str(b))
    output = add_output(rng, a, b)
    called = Called(tool.tool.name, tool.arguments(a, b), output.text, output.said)
    return Asked(_varied(rng, question) if varied else question, (called,))


def _varied(rng: Random, question: str) -> str:
    """Return a variation that has no wording of the evaluation."""
    while True:
        asked = vary(rng, question)
        if not _HELD_BACK.search(normalised(asked.replace("'s", " is"))):
            return asked
