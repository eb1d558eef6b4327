"""Makes random JSON schemas over every keyword that answers can be held to."""

import json
import random
from collections.abc import Callable
from typing import Any

import jsonschema

Schema = dict[str, Any]

#: Deepest nesting of what is drawn.
LEVELS = 3
_PATTERNS = ("^[a-z]{1,6}$", "^(red|green|blue)$", "[0-9]{2}", "^\\d{3}-\\d{4}$", "^[A-Z]")
_FORMATS = ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_NAMES = ("id", "name", "größe", "tags", "a b", "x.y", 'quo"te', "size", "kind", "note")
#: Parsing a schema that fails here is an error of this file.
_CHECK = jsonschema.Draft202012Validator


def make_schema(seed: int) -> Schema:
    """Return the schema of a seed; the first seeds go through all kinds."""
    draw = random.Random(seed)
    kinds = list(_KINDS)
    schema = _KINDS[kinds[seed % len(kinds)]](draw, 1)
    if draw.random() < 0.2:
        schema |= {"title": "T", "description": "Says nothing.", "default": None}
    _CHECK.check_schema(schema)
    return schema


def validate(text: str, schema: Schema) -> None:
    """Raise ValueError or ValidationError if a text is not JSON of a schema."""
    _CHECK(schema, format_checker=_CHECK.FORMAT_CHECKER).validate(json.loads(text))


def with_root_definitions(schema: Schema) -> Schema:
    """Return an array schema whose items' definitions are at its root, where references look."""
    items = dict(schema["items"])
    definitions = items.pop("$defs", None)
    return schema | {"items": items} | ({"$defs": definitions} if definitions else {})


def _any(draw: random.Random, level: int) -> Schema:
    kinds = list(_KINDS if level < LEVELS else _LEAVES)
    return _KINDS[draw.choice(kinds)](draw, level + 1)


def _string(draw: random.Random, level: int) -> Schema:
    least = draw.randint(0, 4)
    return {"type": "string", "minLength": least, "maxLength": least + draw.randint(0, 12)}


def _pattern(draw: random.Random, level: int) -> Schema:
    return {"type": "string", "pattern": draw.choice(_PATTERNS), "maxLength": 12}


def _format(draw: random.Random, level: int) -> Schema:
    return {"type": "string", "format": draw.choice(_FORMATS)}


def _integer(draw: random.Random, level: int) -> Schema:
    least = draw.randint(-1000, 1000)
    return {"type": "integer", "minimum": least, "maximum": least + draw.randint(0, 500)}


def _multiple(draw: random.Random, level: int) -> Schema:
    return {"type": "integer", "multipleOf": draw.choice((2, 5, 7, 100)), "minimum": 0} | (
        {"exclusiveMaximum": 1000} if draw.random() < 0.5 else {"maximum": 700}
    )


def _number(draw: random.Random, level: int) -> Schema:
    least = round(draw.uniform(-10, 10), 2)
    return {"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + 5}


def _fixed(draw: random.Random, level: int) -> Schema:
    return {"const": draw.choice((1, "ja", None, True, ["a", {"b": 2}], {"c": "é"}))}


def _enumeration(draw: random.Random, level: int) -> Schema:
    return {"enum": draw.sample((1, 2.5, "yes", "no", "ünter", None, False, [1, 2]), 4)}


def _mixed(draw: random.Random, level: int) -> Schema:
    return {"type": ["boolean", "null", "integer"], "minimum": 0, "maximum": 20}


def _array(draw: random.Random, level: int) -> Schema:
    least = draw.randint(0, 2)
    return {
        "type": "array",
        "items": _any(draw, level),
        "minItems": least,
        "maxItems": least + draw.randint(0, 2),
    }


def _tuple(draw: random.Random, level: int) -> Schema:
    firsts = [_any(draw, level) for _ in range(draw.randint(1, 3))]
    return {"type": "array", "prefixItems": firsts, "items": False, "minItems": len(firsts)}


def _object(draw: random.Random, level: int) -> Schema:
    names = draw.sample(_NAMES, draw.randint(1, 4))
    schema: Schema = {
        "type": "object",
        "properties": {name: _any(draw, level) for name in names},
        "required": draw.sample(names, draw.randint(0, len(names))),
    }
    return schema | ({"additionalProperties": False} if draw.random() < 0.5 else {})


def _map(draw: random.Random, level: int) -> Schema:
    return {
        "type": "object",
        "additionalProperties": _any(draw, level),
        "minProperties": draw.randint(0, 1),
        "maxProperties": draw.randint(1, 3),
    }


def _by_pattern(draw: random.Random, level: int) -> Schema:
    return {
        "type": "object",
        "patternProperties": {"^a[0-9]{1,2}$": _any(draw, level)},
        "additionalProperties": False,
        "maxProperties": 3,
    }


def _either(draw: random.Random, level: int) -> Schema:
    return {"anyOf": [_any(draw, level) for _ in range(draw.randint(2, 3))]}


def _tagged(draw: random.Random, level: int) -> Schema:
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, "value": _any(draw, level)},
                "required": ["kind", "value"],
            }
            for kind in draw.sample(("cat", "dog", "cow"), 2)
        ]
    }


def _both(draw: random.Random, level: int) -> Schema:
    first, second = draw.sample(_NAMES, 2)
    return {
        "allOf": [
            {"type": "object", "properties": {first: _any(draw, level)}, "required": [first]},
            {"properties": {second: _leaf(draw, level)}, "required": [second]},
            {"maxProperties": 2},
        ]
    }


def _leaf(draw: random.Random, level: int) -> Schema:
    return _LEAVES[draw.choice(list(_LEAVES))](draw, level + 1)


def _referring(draw: random.Random, level: int) -> Schema:
    if level > 1:
        # References are from the root on.
        return _object(draw, level)
    node = {
        "type": "object",
        "properties": {
            "value": {"$ref": "#/$defs/value"},
            "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
        },
        "required": ["value", "next"],
        "additionalProperties": False,
    }
    return {"$ref": "#/$defs/node", "$defs": {"node": node, "value": _leaf(draw, level)}}


_LEAVES: dict[str, Callable[[random.Random, int], Schema]] = {
    "string": _string,
    "pattern": _pattern,
    "format": _format,
    "integer": _integer,
    "multiple": _multiple,
    "number": _number,
    "fixed": _fixed,
    "enumeration": _enumeration,
    "mixed": _mixed,
}
_KINDS = _LEAVES | {
    "array": _array,
    "tuple": _tuple,
    "object": _object,
    "map": _map,
    "by pattern": _by_pattern,
    "either": _either,
    "tagged": _tagged,
    "both": _both,
    "referring": _referring,
}
