"""Draws the tools that a request offers: their names, descriptions and schemas.

What the demo model calls is a tool for the weather or for a sum, whatever it is named and however
its schema is written; all other tools are there to be left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from json import dumps
from random import Random
from typing import Any

from scripts.demo_model.reading import read_lines
from turnstream.prompts.tools import Tool

_WEATHER_NAMES = read_lines("tools/weather_names.txt")
_WEATHER_DESCRIPTIONS = read_lines("tools/weather_descriptions.txt")
_ADD_NAMES = read_lines("tools/add_names.txt")
_ADD_DESCRIPTIONS = read_lines("tools/add_descriptions.txt")
_PLACE_NAMES = read_lines("tools/place_names.txt")
_PLACE_DESCRIPTIONS = read_lines("tools/place_descriptions.txt")
_NUMBER_NAMES = [line.split(" ") for line in read_lines("tools/number_names.txt")]
_OTHERS = read_lines("tools/others.txt")

_UNIT_NAMES = ("unit", "unit", "units", "format", "scale")
#: The names of Celsius and of Fahrenheit.
_UNITS = (("celsius", "fahrenheit"), ("celsius", "fahrenheit"), ("C", "F"), ("c", "f"))
_UNIT_DESCRIPTIONS = (
    "Units the temperature will be returned in.",
    "The unit of the temperature",
    "The temperature unit to use.",
    "Celsius or Fahrenheit",
)

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A parameter for the unit of the temperature."""

    name: str
    #: In the order of the schema.
    values: tuple[str, ...]
    #: By the word that asks for it.
    spoken: Mapping[str, str]
    required: bool
    #: Whether null says that none was asked for.
    nullable: bool
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherTool:
    """A tool that looks up the weather of a place."""

    tool: Tool
    place: str
    unit: Unit | None

    def arguments(self, city: str, unit: str | None = None) -> Arguments:
        """Return the arguments of a call, in the order of the schema.

        Args:
            unit: `celsius`, `fahrenheit` or None, if the question names none.
        """
        said = {self.place: city}
        if self.unit is None:
            return said
        chosen: dict[str, Any] = {}
        if unit is not None:
            chosen = {self.unit.name: self.unit.spoken[unit]}
        elif self.unit.required:
            chosen = {self.unit.name: None if self.unit.nullable else self.unit.values[0]}
        return chosen | said if self.unit.first else said | chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTool:
    """A tool that adds two numbers."""

    tool: Tool
    names: tuple[str, str]

    def arguments(self, a: int, b: int) -> Arguments:
        """Return the arguments of a call."""
        return dict(zip(self.names, (a, b), strict=True))


def draw_weather(rng: Random) -> WeatherTool:
    """Draw a tool for the weather."""
    name = rng.choice(_WEATHER_NAMES)
    place = rng.choice(_PLACE_NAMES)
    strict = rng.random() < 0.3
    about = {"type": "string"} | _perhaps(rng, 0.5, description=rng.choice(_PLACE_DESCRIPTIONS))
    unit = _draw_unit(rng, strict=strict) if rng.random() < 0.3 else None
    properties: dict[str, Any] = {place: about}
    required = [place]
    if unit is not None:
        described = _perhaps(rng, 0.4, description=rng.choice(_UNIT_DESCRIPTIONS))
        kind = ["string", "null"] if unit.nullable else "string"
        schema = {"type": kind, "enum": [*unit.values, *([None] if unit.nullable else [])]}
        added = {unit.name: schema | described}
        properties = added | properties if unit.first else properties | added
        if unit.required:
            required = list(properties)
    tool = _tool(rng, name, rng.choice(_WEATHER_DESCRIPTIONS), properties, required, strict=strict)
    return WeatherTool(tool=tool, place=place, unit=unit)


def _draw_unit(rng: Random, *, strict: bool) -> Unit:
    celsius, fahrenheit = rng.choice(_UNITS)
    values = (celsius, fahrenheit) if rng.random() < 0.7 else (fahrenheit, celsius)
    return Unit(
        name=rng.choice(_UNIT_NAMES),
        values=values,
        spoken={"celsius": celsius, "fahrenheit": fahrenheit},
        required=strict or rng.random() < 0.4,
        nullable=strict and rng.random() < 0.4,
        first=rng.random() < 0.15,
    )


def draw_add(rng: Random) -> AddTool:
    """Draw a tool that adds."""
    first, second = rng.choice(_NUMBER_NAMES)
    kind = rng.choice(("number", "number", "integer", "integer"))
    described = rng.random() < 0.25
    properties: dict[str, Any] = {
        name: {"type": kind} | ({"description": f"The {which} number"} if described else {})
        for name, which in ((first, "first"), (second, "second"))
    }
    tool = _tool(
        rng,
        rng.choice(_ADD_NAMES),
        rng.choice(_ADD_DESCRIPTIONS),
        properties,
        [first, second],
        strict=rng.random() < 0.3,
    )
    return AddTool(tool=tool, names=(first, second))


def draw_other(rng: Random) -> Tool:
    """Draw a tool that is neither for the weather nor for sums."""
    about, *fields = rng.choice(_OTHERS).split(" | ")
    description = ""
    if fields and ":" not in fields[0].split(" ")[0]:
        description, *fields = fields
    properties: dict[str, Any] = {}
    for field in fields:
        name, _, rest = field.partition(":")
        kind, _, text = rest.partition(" ")
        items = {"items": {"type": "string"}} if kind == "array" else {}
        properties[name] = {"type": kind} | items | _perhaps(rng, 0.6, description=text)
    strict = rng.random() < 0.3
    return _tool(rng, about, description, properties, list(properties), strict=strict)


def _tool(
    rng: Random,
    name: str,
    description: str,
    properties: dict[str, Any],
    required: list[str],
    *,
    strict: bool,
) -> Tool:
    if not properties and rng.random() < 0.5:
        return Tool(name=name, description=description or None)
    schema = _schema(rng, name, properties, required, strict=strict)
    told = description if rng.random() < 0.8 else ""
    return Tool(name=name, description=told or None, parameters=dumps(schema), strict=strict)


def _schema(
    rng: Random, name: str, properties: dict[str, Any], required: list[str], *, strict: bool
) -> dict[str, Any]:
    """Write a schema by hand or as pydantic, zod and the frameworks on them do."""
    closed = {"additionalProperties": False}
    match rng.random():
        case share if share < 0.2:  # pydantic, through openai-agents
            titled = {key: _titled(rng, key, about) for key, about in properties.items()}
            return {
                "properties": titled,
                "required": required,
                "title": f"{name}_args",
                "type": "object",
            } | (closed if strict or rng.random() < 0.6 else {})
        case share if share < 0.3:  # LangChain
            return {"properties": properties, "required": required, "type": "object"}
        case share if share < 0.4:  # zod
            head = {"$schema": "http://json-schema.org/draft-07/schema#"}
            body = {"type": "object", "properties": properties, "required": required}
            return head | body | closed
        case share if share < 0.5 and not strict:
            return {"type": "object", "properties": properties}
        case _:
            body = {"type": "object", "properties": properties, "required": required}
            return body | (closed if strict or rng.random() < 0.3 else {})


def _titled(rng: Random, key: str, about: dict[str, Any]) -> dict[str, Any]:
    title = {"title": key.replace("_", " ").title()}
    described = {"description": about["description"]} if "description" in about else {}
    rest = {name: value for name, value in about.items() if name != "description"}
    return described | title | rest if rng.random() < 0.7 else about | title


def _perhaps(rng: Random, share: float, **entry: str) -> dict[str, str]:
    drawn = rng.random() < share
    return entry if drawn and all(entry.values()) else {}
