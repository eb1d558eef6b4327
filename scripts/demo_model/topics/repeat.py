"""Texts to be repeated: short exercises in copying, which calls of tools consist of."""

from collections.abc import Callable
from json import dumps
from random import Random

from scripts.demo_model.corpus import Conversation, Turn
from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.tool_outputs import draw_number, weather_output
from scripts.demo_model.topics import unknown
from scripts.demo_model.topics.tools import draw_city

_QUESTIONS = (
    "Repeat: {text}",
    "Repeat after me: {text}",
    "Please repeat: {text}",
    "Copy this: {text}",
    "Write this again: {text}",
)
_LOOK_UPS = ("What is {key} in {text}?", "In {text}, what is {key}?", "Find {key}: {text}")


def draw(rng: Random) -> Conversation:
    """Draw one exercise."""
    if rng.random() < 0.4:
        pairs = {_word(rng): _value(rng) for _ in range(rng.randint(2, 4))}
        key = rng.choice(list(pairs))
        template = rng.choice(_LOOK_UPS)
        question = template.replace("{key}", key).replace("{text}", dumps(pairs))
        return Conversation(DEFAULT, (Turn(question, dumps({key: pairs[key]})),))
    draws: tuple[Callable[[], str], ...] = (
        lambda: " ".join(_word(rng) for _ in range(rng.randint(2, 8))),
        lambda: ", ".join(draw_city(rng) for _ in range(rng.randint(1, 3))),
        lambda: " ".join(str(draw_number(rng)) for _ in range(rng.randint(1, 4))),
        lambda: dumps([_value(rng) for _ in range(rng.randint(1, 3))]),
        lambda: weather_output(rng, draw_city(rng)),
    )
    text = rng.choice(draws)()
    return Conversation(DEFAULT, (Turn(rng.choice(_QUESTIONS).replace("{text}", text), text),))


def _word(rng: Random) -> str:
    return unknown.made_up_word(rng)


def _value(rng: Random) -> str | int:
    return rng.choice((draw_city, draw_number, _word))(rng)
