"""The published documents, validators of what they say, and a turn that does not end by itself."""

import json
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from harness.service import ROOT

Json = dict[str, Any]

OPENAPI: Json = json.loads((ROOT / "ws_server" / "openapi.json").read_text(encoding="utf-8"))
ASYNCAPI: Json = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
#: Schemas of what the socket sends.
RECEIVED = [
    message["$ref"].rpartition("/")[2] for message in ASYNCAPI["operations"]["send"]["messages"]
]

#: Repeats itself (a negative penalty), so that it does not end before its limit.
LONG: dict[str, Any] = {
    "input": "Write a long story.",
    "temperature": 0,
    "frequency_penalty": -2,
    "max_output_tokens": 1500,
}


def wrong(document: Json, name: str, value: object) -> str | None:
    """Say what of a value is not as a schema has it; None: nothing."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return None if error is None else f"{name}{error.json_path[1:]}: {error.message}"


def name_of(frame: Json) -> str:
    """Find the schema of a frame by its type."""
    schemas = ASYNCAPI["components"]["schemas"]
    names = [n for n in RECEIVED if schemas[n]["properties"]["type"]["const"] == frame["type"]]
    assert len(names) == 1, f"{frame['type']} is not published"
    return names[0]
