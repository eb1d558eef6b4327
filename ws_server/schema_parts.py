"""The schemas within a JSON schema, and where they are.

A value that is no schema is yielded too: whether it may be one is for `json_schemas.py` to say.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

#: Keywords with a schema, with a list of schemas, and with schemas by name.
ONE = {"additionalProperties", "additionalItems", "items"}
LISTED = {"anyOf", "oneOf", "allOf", "prefixItems"}
NAMED = {"properties", "patternProperties", "$defs", "definitions"}


def subschemas(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the schemas directly in a schema, each with its path from there."""
    for keyword, value in schema.items():
        if keyword in ONE and isinstance(value, dict):
            yield keyword, value
        elif keyword in LISTED | {"items"} and isinstance(value, list):
            yield from ((f"{keyword}[{n}]", each) for n, each in enumerate(value))
        elif keyword in NAMED and isinstance(value, dict):
            yield from ((f"{keyword}.{name}", each) for name, each in value.items())


def nodes(schema: Schema) -> Iterator[Schema]:
    """Yield a schema and all within it that are objects."""
    yield schema
    for _, inner in subschemas(schema):
        if isinstance(inner, dict):
            yield from nodes(inner)
