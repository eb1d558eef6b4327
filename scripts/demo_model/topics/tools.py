"""Conversations in which the model calls tools: for the weather and for sums."""

import re
from collections.abc import Sequence
from random import Random

from scripts.demo_model.corpus import Conversation, Corpus
from scripts.demo_model.manner import Manner, System, draw_system
from scripts.demo_model.offered_tools import (
    AddTool,
    WeatherTool,
    draw_add,
    draw_other,
    draw_weather,
)
from scripts.demo_model.reading import read_lines
from scripts.demo_model.tool_outputs import (
    add_output,
    add_said,
    draw_number,
    said_of,
    weather_output,
    weather_said,
)
from scripts.demo_model.tool_talk import Asked, Called, conversation
from scripts.demo_model.topics import unknown
from scripts.demo_model.wording import normalised, vary
from turnstream.prompts.tools import Offer, Tool

CITIES = read_lines("tools/cities.txt")
#: Held out for the evaluation.
UNSEEN_CITIES = read_lines("tools/cities_unseen.txt")
UNSEEN_WEATHER = read_lines("tools/weather_unseen.txt")
UNSEEN_ADD = read_lines("tools/add_unseen.txt")
_WEATHER = read_lines("tools/weather_questions.txt")
_ADD = read_lines("tools/add_questions.txt")
_WORDS = read_lines("numbers.txt")

_NO_CITY = ("What is the weather?", "How is the weather?", "What is the weather today?")
WHICH_CITY = "For which city?"
_WEATHER_AGAIN = (
    "And in {city}?",
    "And {city}?",
    "And for {city}?",
    "What about {city}?",
    "How about {city}?",
    "And how is it in {city}?",
    "Now {city}.",
    "The same for {city}, please.",
)
_ADD_AGAIN = ("And {a} plus {b}?", "And {a} + {b}?", "What about {a} and {b}?", "Now {a} + {b}.")
_CITY_ALONE = ("{city}", "{city}.", "In {city}.", "For {city}, please.", "{city}, please.")
_INSTRUCTIONS = (
    "You are a helpful assistant. Use the tools.",
    "You are a helpful assistant with tools.",
    "Use the tools to answer.",
    "Use the functions if they help.",
    "Answer with the help of your tools.",
    "You are a helpful agent.",
    "You can look up the weather and add numbers.",
)
_HELD_BACK = re.compile(
    "|".join(
        re.sub(r"city|\ba\b|\bb\b", ".+", normalised(line.replace("'s", " is")))
        for line in (*UNSEEN_WEATHER, *UNSEEN_ADD)
    )
)
_IS_SUM = re.compile(r"\+|\bplus\b|\badd\b|\bsum\b|足|たす|プラス", re.IGNORECASE)
_IS_WEATHER = re.compile("weather|天気", re.IGNORECASE)


def draw(rng: Random, corpus: Corpus) -> Conversation:
    """Draw a conversation in which tools are offered or were called."""
    system = draw_system(rng)
    while system.manner is Manner.UPPER:
        system = draw_system(rng)
    if rng.random() < 0.1:
        system = System(rng.choice(_INSTRUCTIONS), Manner.PLAIN)
    weather = draw_weather(rng) if rng.random() < 0.75 else None
    add = draw_add(rng) if rng.random() < (0.6 if weather else 0.8) else None
    known = [each.tool for each in (weather, add) if each is not None]
    others = rng.choices((0, 1, 2, 3), (60, 25, 10, 5) if known else (0, 60, 30, 10))[0]
    tools = [*known, *(draw_other(rng) for _ in range(others))]
    tools = list({tool.name: tool for tool in rng.sample(tools, len(tools))}.values())
    choice = rng.random()
    offer = Offer(tools=tuple(tools), required=choice < 0.06, parallel=not 0.06 <= choice < 0.14)
    ask = _Asking(rng, corpus, system, weather, add)
    if offer.required and (weather or add):
        return conversation(system, offer, [ask.tool()], calls_last=True)
    strange = [tool for tool in tools if tool not in known]
    if strange and rng.random() < 0.15:
        # A call of any tool, forced by its client.
        return conversation(system, _unless(rng, 0.3, offer), [ask.forced(rng.choice(strange))])
    asked: list[Asked] = []
    for _ in range(rng.choices((1, 2, 3), (65, 26, 9))[0]):
        if asked and asked[-1].calls and rng.random() < 0.35:
            asked.append(ask.again(asked[-1]))
        elif rng.random() < (0.7 if weather or add else 0.2):
            asked.append(ask.tool())
        else:
            asked += ask.other()
    if rng.random() < 0.08:
        return conversation(system, None, asked)
    return conversation(system, offer, asked, calls_last=rng.random() < 0.5)


def _unless(rng: Random, share: float, offer: Offer) -> Offer | None:
    return None if rng.random() < share else offer


class _Asking:
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

    def other(self) -> list[Asked]:
        """Draw a question that needs no tool."""
        length = self._rng.choice((1, 1, 2))
        turns = self._corpus.converse(self._rng, self._system, length).turns
        text = " ".join(turn.question for turn in turns)
        if (
            (self._add and _IS_SUM.search(text))
            or (self._weather and _IS_WEATHER.search(text))
            or not all(turn.answer for turn in turns)
        ):
            return self.other()
        return [Asked(turn.question, (), turn.answer, turn.complete) for turn in turns]

    def tool(self) -> Asked:
        """Draw a question that a tool answers, if it is offered."""
        rng = self._rng
        one, other = self._one(), self._one()
        if not (one.calls and other.calls) or rng.random() < 0.75:
            return one
        first, second = one.question.rstrip("?. "), other.question
        if second[1:2].islower():
            second = second[0].lower() + second[1:]
        joint = rng.choice((" and ", ", and ", "? And ", ". Then ", ". Also, ", " and then "))
        return Asked(first + joint + second, (*one.calls, *other.calls))

    def again(self, last: Asked) -> Asked:
        """Draw a question that goes on from one of the same kind."""
        if self._weather is not None and last.calls[-1].name == self._weather.tool.name:
            return self._weather_one(self._weather, _WEATHER_AGAIN)
        if self._add is not None and last.calls[-1].name == self._add.tool.name:
            return self._add_one(self._add, _ADD_AGAIN)
        return self.tool()

    def _one(self) -> Asked:
        pick = self._rng.random()
        if self._weather is None and (self._add is None or pick < 0.1):
            return self._weather_one(None) if pick < 0.7 else self.other()[0]
        if self._add is None or (self._weather is not None and pick < 0.55):
            return self._weather_one(self._weather)
        return self._add_one(self._add)

    def _weather_one(self, tool: WeatherTool | None, wordings: Sequence[str] = _WEATHER) -> Asked:
        rng = self._rng
        city = draw_city(rng)
        if rng.random() < 0.03 and tool is not None:
            return Asked(rng.choice(_NO_CITY), (), WHICH_CITY)
        question = rng.choice(wordings)
        if rng.random() < 0.05:
            question = rng.choice(_CITY_ALONE) if tool is not None else question
        unit = None
        if tool is not None and tool.unit is not None and rng.random() < 0.4:
            unit = rng.choice(("celsius", "fahrenheit"))
            question = f"{question.rstrip('?.')} in {rng.choice((unit, unit.title()))}?"
        asked, city = _varied(rng, question, city)
        if tool is None:
            brief = self._system.manner is Manner.BRIEF
            return Asked(asked, (), unknown.BRIEF if brief else unknown.ANSWER)
        output = weather_output(rng, city)
        called = Called(
            tool.tool.name, tool.arguments(city, unit), output, weather_said(city, output)
        )
        if rng.random() < 0.12 and " and " not in asked and question in _WEATHER[:5]:
            again = draw_city(rng)
            output = weather_output(rng, again)
            then = Called(
                tool.tool.name, tool.arguments(again, unit), output, weather_said(again, output)
            )
            return Asked(asked.replace(city, f"{city} and {again}"), (called, then))
        return Asked(asked, (called,))

    def _add_one(self, tool: AddTool, wordings: Sequence[str] = _ADD) -> Asked:
        rng = self._rng
        a, b = draw_number(rng), draw_number(rng)
        spoken = max(a, b) <= 20 and rng.random() < 0.15
        said = (_WORDS[a], _WORDS[b]) if spoken else (str(a), str(b))
        template = rng.choice(wordings).replace("{a}", said[0]).replace("{b}", said[1])
        asked, _ = _varied(rng, template, said[0])
        output = add_output(rng, a, b)
        called = Called(tool.tool.name, tool.arguments(a, b), output, add_said(a, b, output))
        return Asked(asked, (called,))

    def forced(self, tool: Tool) -> Asked:
        """Draw a question with a call that nobody learns, and words about its output."""
        rng = self._rng
        words = (unknown.made_up_word(rng) for _ in range(rng.randint(0, 2)))
        arguments = {word: unknown.made_up_word(rng) for word in words}
        question = self.other()[0].question
        output = weather_output(rng, draw_city(rng))
        return Asked(question, (Called(tool.name, arguments, output, said_of(output)),), "", False)


def draw_city(rng: Random) -> str:
    """Draw a city of the list, or a made-up one."""
    if rng.random() < 0.55:
        return rng.choice(CITIES)
    words = [unknown.made_up_word(rng).capitalize() for _ in range(rng.choice((1, 1, 1, 2)))]
    city = " ".join(words)
    return f"{city}, {unknown.made_up_word(rng).capitalize()}" if rng.random() < 0.1 else city


def _varied(rng: Random, template: str, key: str) -> tuple[str, str]:
    """Return a variation of a question, and its key as that writes it."""
    while True:
        asked = vary(rng, template.replace("{city}", key))
        plain = normalised(asked.replace("'s", " is"))
        forms = [form for form in (key, key.lower(), key.upper()) if form in asked]
        if forms and not _HELD_BACK.search(plain):
            return asked, forms[0]
