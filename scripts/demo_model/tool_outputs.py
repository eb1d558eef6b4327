"""What tools return, and how the model says that in words.

A number may be wrong: the model is to say what it was told, not what it knows.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from scripts.demo_model.reading import read_lines
from scripts.demo_model.topics import unknown

_CONDITIONS = read_lines("tools/conditions.txt")
_KEYS = read_lines("tools/weather_keys.txt")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def draw_number(rng: Random) -> int:
    """Draw a number of one to five digits."""
    return rng.randint(0, 10 ** rng.choice((1, 1, 2, 2, 2, 3, 3, 4, 5)))


def weather_output(rng: Random, city: str) -> str:
    """Draw what a tool for the weather returns."""
    sky, degrees = rng.choice(_CONDITIONS), rng.randint(-20, 110)
    unit = rng.choice(("°C", "°F", "C", "F", " degrees", " degrees Celsius"))
    match rng.random():
        case share if share < 0.15:
            return sky
        case share if share < 0.3:
            return rng.choice(
                (f"{sky}, {degrees}{unit}", f"{degrees}{unit} and {sky}", f"{degrees}{unit}")
            )
        case share if share < 0.5:
            forms = (
                f"It is {sky} in {city}.",
                f"The weather in {city} is {sky}.",
                f"The weather in {city} is {sky} and {degrees}{unit}.",
                f"{city}: {sky}",
                f"It is {degrees}{unit} in {city}.",
                f"{sky.capitalize()} with {degrees}{unit}.",
                f"{sky.capitalize()}",
            )
            return rng.choice(forms)
        case share if share < 0.6:
            words = " ".join(unknown.made_up_word(rng) for _ in range(rng.randint(1, 5)))
            return rng.choice((words, f"Error: {words}", f"{words.capitalize()}."))
        case _:
            keys = rng.sample(_KEYS, rng.choice((1, 1, 2, 2, 3)))
            if rng.random() < 0.15:
                keys[0] = unknown.made_up_word(rng)
            value: Any = {key: _value(rng, sky, degrees, unit) for key in dict.fromkeys(keys)}
            if rng.random() < 0.25:
                value = {rng.choice(("city", "location")): city} | value
            return json.dumps(value, ensure_ascii=rng.random() < 0.1)


def _value(rng: Random, sky: str, degrees: int, unit: str) -> Any:
    draws: tuple[Callable[[], Any], ...] = (
        lambda: f"{rng.randint(-20, 110)}{unit}",
        lambda: degrees,
        lambda: rng.choice(_CONDITIONS),
        lambda: sky,
        lambda: rng.randint(0, 999) / 10,
        lambda: unknown.made_up_word(rng),
    )
    return rng.choice(draws)()


def add_output(rng: Random, a: int, b: int) -> str:
    """Draw what a tool that adds returns; it need not be the sum."""
    result: int | float = a + b if rng.random() < 0.7 else draw_number(rng)
    match rng.random():
        case share if share < 0.6:
            return str(result)
        case share if share < 0.7:
            return f"{result}.0" if rng.random() < 0.7 else f"{result}.5"
        case share if share < 0.9:
            key = rng.choice(("result", "sum", "total", "value", "answer", "output"))
            return json.dumps({key: result})
        case _:
            return rng.choice(
                (f"The sum is {result}.", f"{a} + {b} = {result}", f"It is {result}.")
            )


def weather_said(city: str, output: str) -> str:
    """Say what a tool for the weather returned."""
    return output if _is_sentence(output) else f"The weather in {city}: {said_of(output)}"


def add_said(a: int, b: int, output: str) -> str:
    """Say what a tool that adds returned."""
    read = _read(output)
    if isinstance(read, dict) and len(read) == 1:
        output = str(*read.values())
    if _NUMBER.fullmatch(output):
        return f"{a} plus {b} is {output}."
    return output if _is_sentence(output) else f"{a} plus {b}: {said_of(output)}"


def said_of(output: str) -> str:
    """Say what any tool returned: a text as it is, JSON without its punctuation."""
    read = _read(output)
    text = _flat(read) if isinstance(read, dict) else output
    return text if text.endswith(".") else f"{text}."


def _is_sentence(output: str) -> bool:
    return output[:1].isupper() and output.endswith(".")


def _read(output: str) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return None


def _flat(value: dict[str, Any]) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items())
