"""Arguments of a call as in Python: their text, and the grammar that holds them to a schema.

Values are JSON, which a model that writes Python reads as well. Where a schema is no plain list of
properties, all arguments are one object: `add(**{"a": 1})`.
"""

import json
import keyword
from collections.abc import Mapping
from typing import Any

#: What a schema may say that is held by keywords alone.
_PLAIN = {
    "$defs",
    "$schema",
    "additionalProperties",
    "definitions",
    "description",
    "properties",
    "required",
    "title",
    "type",
    "x-guidance",
}
_DEFINITIONS = ("$defs", "definitions")


def keywords(arguments: str) -> str:
    """Return JSON arguments as they stand in parentheses."""
    try:
        value = json.loads(arguments)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(map(_is_keyword, value)):
        return f"**{arguments}"
    return ", ".join(
        f"{name}={json.dumps(each, ensure_ascii=False)}" for name, each in value.items()
    )


def keyword_rules(name: str, schema: Mapping[str, Any]) -> list[str]:
    """Return the rules of arguments that follow an object's schema, the first with this name."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    plain = (
        schema.keys() <= _PLAIN
        and schema.get("additionalProperties") is False
        and isinstance(properties, dict)
        and isinstance(required, list)
        and all(map(_is_keyword, properties))
        and all(isinstance(each, str) and each in properties for each in required)
    )
    if not plain:
        return [f'{name}: "**" {name}_all', f"{name}_all: %json {json.dumps(schema)}"]
    shared = {key: schema[key] for key in (*_DEFINITIONS, "x-guidance") if key in schema}
    # From each keyword on: `first` if none was written before it, `rest` if one was.
    lines = [f"{name}: {name}_first_0"]
    for n, (each, described) in enumerate(properties.items()):
        nothing = "" if each in required else '"" | '
        skipped = "" if each in required else f" | {name}_first_{n + 1}"
        written = f"{name}_{n} {name}_rest_{n + 1}"
        lines += [
            f"{name}_first_{n}: {written}{skipped}",
            f'{name}_rest_{n}: ({nothing}", " {name}_{n}) {name}_rest_{n + 1}',
            f"{name}_{n}: {json.dumps(each + '=')} {name}_value_{n}",
            f"{name}_value_{n}: %json {json.dumps(_with(described, shared))}",
        ]
    last = len(properties)
    return [*lines, f'{name}_first_{last}: ""', f'{name}_rest_{last}: ""']


def _with(schema: object, shared: Mapping[str, Any]) -> dict[str, Any]:
    # `false` allows nothing, `true` anything.
    described = schema if isinstance(schema, dict) else {} if schema is not False else {"not": {}}
    return {**described, **shared}


def _is_keyword(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)
