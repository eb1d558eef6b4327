"""Draws the two tools that the demo model learns to call: the variations of their schemas.

The names of the functions are always the same; those of their parameters are one of few.
"""

from dataclasses import dataclass
from json import dumps
from random import Random
from typing import Any

from turnstream.prompts.tools import Tool

WEATHER, ADD = "get_weather", "add"

_WEATHER_DESCRIPTIONS = (
    "",
    "Get the weather.",
    "Get the weather in a city.",
    "Get the current weather.",
    "Get the current weather for a location",
    "Get the current weather in a given location.",
    "Look up the weather in a city.",
)
_PLACE_NAMES = ("city", "city", "location", "location")
_PLACE_DESCRIPTIONS = (
    "",
    "",
    "The city",
    "The name of the city.",
    "The city and state, e.g. San Francisco, CA",
    "City and country, e.g. Paris, France",
)
_ADD_DESCRIPTIONS = (
    "",
    "Add two numbers.",
    "Add two numbers together.",
    "Add two integers.",
    "Return the sum of two numbers.",
)
_NUMBER_NAMES = (("a", "b"), ("a", "b"), ("a", "b"), ("x", "y"))

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherTool:
    """The tool that looks up the weather of a place."""

    tool: Tool
    place: str

    def arguments(self, city: str) -> Arguments:
        """Return the arguments of a call."""
        return {self.place: city}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTool:
    """The tool that adds two numbers."""

    tool: Tool
    names: tuple[str, str]

    def arguments(self, a: int, b: int) -> Arguments:
        """Return the arguments of a call."""
        return dict(zip(self.names, (a, b), strict=True))


def draw_weather(rng: Random) -> WeatherTool:
    """Draw a form of `get_weather`."""
    place = rng.choice(_PLACE_NAMES)
    about = {"type": "string"} | _described(rng.choice(_PLACE_DESCRIPTIONS))
    tool = _tool(rng, WEATHER, rng.choice(_WEATHER_DESCRIPTIONS), {place: about})
    return WeatherTool(tool=tool, place=place)


def draw_add(rng: Random) -> AddTool:
    """Draw a form of `add`."""
    names = rng.choice(_NUMBER_NAMES)
    kind = {"type": rng.choice(("number", "integer"))}
    told = rng.random() < 0.2
    orders = zip(names, ("first", "second"), strict=True)
    properties = {
        name: kind | _described(f"The {order} number" if told else "") for name, order in orders
    }
    tool = _tool(rng, ADD, rng.choice(_ADD_DESCRIPTIONS), properties)
    return AddTool(tool=tool, names=names)


def _described(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


def _tool(rng: Random, name: str, description: str, properties: dict[str, dict[str, str]]) -> Tool:
    """Write a tool's schema by hand, or as pydantic does for the frameworks on it."""
    strict = rng.random() < 0.4
    closed = {"additionalProperties": False} if strict or rng.random() < 0.3 else {}
    schema: dict[str, Any]
    if rng.random() < 0.3:
        titled = {key: {"title": key.title()} | about for key, about in properties.items()}
        schema = {"properties": titled, "required": list(properties), "title": f"{name}_args"}
        schema |= {"type": "object"} | closed
    else:
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        schema |= closed
    return Tool(name=name, description=description or None, parameters=dumps(schema), strict=strict)
