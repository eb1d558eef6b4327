"""What the two tools return, in a few forms, and how the model says that in words.

The words say what was returned, whatever the model itself knows of a sum.
"""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

_SKIES = (
    "sunny",
    "cloudy",
    "rainy",
    "windy",
    "foggy",
    "snowy",
    "clear",
    "stormy",
    "warm",
    "cold",
    "hot",
)
_SKY_KEYS = ("sky", "condition", "conditions", "weather")


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool returned, and the words for it."""

    text: str
    said: str


def weather_output(rng: Random, city: str) -> Output:
    """Draw what `get_weather` returns."""
    sky, degrees = rng.choice(_SKIES), rng.randint(0, 40) if rng.random() < 0.8 else _extreme(rng)
    number: Any = rng.choice((degrees, degrees, f"{degrees}C", f"{degrees}°C", f"{degrees}F"))
    unit = rng.choice(("C", "°C", " degrees", " degrees", "F"))
    place = {rng.choice(("city", "location")): city} if rng.random() < 0.4 else {}
    match rng.random():
        case share if share < 0.35:
            value = place | {"temperature": number, rng.choice(_SKY_KEYS): sky}
            text = json.dumps(value, ensure_ascii=rng.random() < 0.2)
            told = f"{degrees} degrees and {sky}"
        case share if share < 0.55:
            text = rng.choice(
                (
                    f"{degrees}{unit} and {sky}",
                    f"{sky}, {degrees}{unit}",
                    f"{sky.capitalize()}, {degrees}{unit}",
                    f"It is {degrees}{unit} and {sky} in {city}.",
                    f"The weather in {city} is {sky}, {degrees}{unit}.",
                )
            )
            told = f"{degrees} degrees and {sky}"
        case share if share < 0.7:
            text = rng.choice((f"{degrees}{unit}", json.dumps(place | {"temperature": degrees})))
            told = f"{degrees} degrees"
        case _:
            text = rng.choice(
                (
                    sky,
                    sky.capitalize(),
                    f"The weather in {city} is {sky}.",
                    f"It is {sky} in {city}.",
                    json.dumps(place | {rng.choice(_SKY_KEYS): sky}),
                )
            )
            told = sky
    return Output(text, f"It is {told} in {city}.")


def _extreme(rng: Random) -> int:
    return rng.choice((rng.randint(-20, -1), rng.randint(41, 99)))


def add_output(rng: Random, a: int, b: int) -> Output:
    """Draw what `add` returns."""
    total = a + b
    match rng.random():
        case share if share < 0.65:
            text = str(total)
        case share if share < 0.8:
            text = f"{total}.0"
        case _:
            text = json.dumps({rng.choice(("result", "sum")): total})
    return Output(text, f"{a} plus {b} is {total}.")
