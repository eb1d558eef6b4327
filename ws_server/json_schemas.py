"""Check a JSON schema that answers are to follow, and reduce it to what constrains them.

A keyword that cannot be guaranteed is refused, so that an answer that is complete is always valid.
Annotations are dropped, and so are formats that are not known, as the JSON Schema specification has
it.
"""

import json
import re
from typing import Any

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.schema_parts import LISTED, NAMED, ONE, Schema, nodes, subschemas

#: Bytes that a schema or another grammar may have.
MOST_BYTES = 128 * 1024
#: How deep a schema may be nested.
MOST_LEVELS = 64

_VALUES = {
    "$ref",
    "$anchor",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "type",
}
_FORMATS = {
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uri",
    "uuid",
}
#: What says something to people and other programs, and forbids nothing.
_ANNOTATIONS = {
    "$comment",
    "$id",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "id",
    "nullable",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
}
#: Values of unsupported keywords that forbid nothing.
_HARMLESS: dict[str, Any] = {"uniqueItems": False, "unevaluatedProperties": True}
_DRAFT = re.compile(
    r"https?://json-schema\.org/(draft-0[467]|draft/2019-09|draft/2020-12)/schema#?"
)
_DEFINITIONS = {"$defs", "definitions"}
#: Beside these, another keyword may ask for properties of the same object.
_COMBINING = {"anyOf", "oneOf", "allOf", "$ref"}


def refused(param: str, why: str) -> BadRequest:
    """Make the error of a schema that is not served; it names the place in the schema."""
    return BadRequest(f"'{param}' {why}", code="invalid_json_schema", param=param)


def check_size(text: str, param: str) -> None:
    """Refuse a grammar that is too large.

    Raises:
        BadRequest: it is.
    """
    if (size := len(text.encode())) > MOST_BYTES:
        raise refused(param, f"has {size} bytes; at most {MOST_BYTES} are served.")


def prepared(schema: Schema, param: str, *, annotated: bool = False) -> Schema:
    """Return what constrains an answer in a schema, and its annotations if they are wanted.

    Where a schema says nothing of further properties, they are left out: a small model would
    write them without an end, and an answer without them is valid too.

    Raises:
        BadRequest: the schema is too large, or has a keyword that is not served; it names its path.
    """
    check_size(json.dumps(schema, ensure_ascii=False), param)
    found = _Reader(schema, annotated).read(schema, param, 1)
    assert isinstance(found, dict), "an object is read as an object"
    if isinstance(draft := schema.get("$schema"), str) and _DRAFT.fullmatch(draft):
        found["$schema"] = draft
    _close_all(found)
    return found


def closed(schema: Schema, param: str) -> Schema:
    """Return a schema that need not be guaranteed, its objects without further properties.

    They are left out where `prepared` would leave them out; all else stays.

    Raises:
        BadRequest: the schema is too large, or is nested too deeply.
    """
    check_size(text := json.dumps(schema, ensure_ascii=False), param)
    found: Schema = json.loads(text)
    _check_levels(found, param, 1)
    _close_all(found)
    return found


def _check_levels(schema: Schema, param: str, level: int) -> None:
    if level > MOST_LEVELS:
        raise refused(param, f"is nested more than {MOST_LEVELS} deep.")
    for step, inner in subschemas(schema):
        if isinstance(inner, dict):
            _check_levels(inner, f"{param}.{step}", level + 1)


class _Reader:
    """Reads one schema.

    Args:
        root: the whole schema, which references refer to.
        annotated: whether annotations are kept.
    """

    def __init__(self, root: Schema, annotated: bool) -> None:
        self._root = root
        self._kept = _ANNOTATIONS - {"$id", "id"} if annotated else frozenset[str]()

    def read(self, schema: object, param: str, level: int) -> Schema | bool:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise refused(param, "must be a schema: an object, true or false.")
        if level > MOST_LEVELS:
            raise refused(param, f"is nested more than {MOST_LEVELS} deep.")
        found: Schema = {}
        for keyword, value in schema.items():
            if keyword in self._kept:
                found[keyword] = value
                continue
            if _says_nothing(keyword, value):
                continue
            found[keyword] = self._value(keyword, value, f"{param}.{keyword}", level)
        self._check_counts(found, param)
        if _are_tagged(branches := found.get("oneOf"), self._root):
            # No value fits two of them.
            del found["oneOf"]
            found["anyOf"] = branches
        return found

    def _value(self, keyword: str, value: Any, param: str, level: int) -> Any:
        if keyword in LISTED or (keyword == "items" and isinstance(value, list)):
            if not isinstance(value, list):
                raise refused(param, "must be a list of schemas.")
            return [self.read(each, f"{param}[{n}]", level + 1) for n, each in enumerate(value)]
        if keyword in NAMED:
            if not isinstance(value, dict):
                raise refused(param, "must be an object of schemas.")
            return {
                name: self.read(each, f"{param}.{name}", level + 1) for name, each in value.items()
            }
        if keyword in ONE:
            return self.read(value, param, level + 1)
        if keyword not in _VALUES:
            raise refused(param, "is not a keyword that can be guaranteed.")
        if keyword in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
            raise refused(param, "must be a number.")
        return value

    def _check_counts(self, schema: Schema, param: str) -> None:
        least = schema.get("minProperties")
        if isinstance(least, int) and least > 1:
            required = schema.get("required")
            if not isinstance(required, list) or len(set(map(str, required))) < least:
                # An answer may repeat a name, which then counts once.
                raise refused(
                    f"{param}.minProperties", "above 1 can only be guaranteed by 'required'."
                )
            del schema["minProperties"]


def _says_nothing(keyword: str, value: object) -> bool:
    if keyword == "format":
        return value not in _FORMATS
    return (
        keyword in _ANNOTATIONS
        or keyword == "$schema"
        or keyword.startswith("x-")
        or (keyword in _HARMLESS and value is _HARMLESS[keyword])
    )


def _stands_alone(schema: Schema) -> bool:
    """Return whether all that is said of an object's properties is said in one place."""
    combining = schema.keys() & _COMBINING
    if "allOf" in combining:
        return False
    return not combining or schema.keys() <= {*combining, *_DEFINITIONS, "$schema", "type"}


def _close_all(schema: Schema) -> None:
    """Leave out further properties in a whole schema."""
    _close_within(schema)
    if all(_stands_alone(each) for each in nodes(schema)):
        # No reference adds to what it refers to.
        for step, each in subschemas(schema):
            if step.partition(".")[0] in _DEFINITIONS:
                _close_within(each)


def _close_within(schema: object) -> None:
    """Leave out further properties in a schema, but not where several places describe an object."""
    if isinstance(schema, dict) and _stands_alone(schema):
        _close(schema)
        for step, inner in subschemas(schema):
            if step.partition(".")[0] not in _DEFINITIONS:
                _close_within(inner)


def _close(schema: Schema) -> None:
    properties = schema.get("properties")
    required = schema.get("required", [])
    if (
        isinstance(properties, dict)
        and properties
        and isinstance(required, list)
        and not schema.keys() & {"additionalProperties", "patternProperties", *_COMBINING}
        and all(isinstance(name, str) and name in properties for name in required)
    ):
        schema["additionalProperties"] = False


def _are_tagged(branches: object, root: Schema) -> bool:
    """Return whether some required property has other values in each branch of a `oneOf`."""
    if not isinstance(branches, list) or not branches:
        return False
    resolved = [_resolved(each, root) for each in branches]
    if not all(isinstance(each.get("properties"), dict) for each in resolved):
        return False
    return any(_tells_apart(name, resolved) for name in resolved[0]["properties"])


def _tells_apart(name: str, branches: list[Schema]) -> bool:
    seen: set[str] = set()
    for branch in branches:
        described = branch["properties"].get(name)
        required = branch.get("required")
        if (
            not isinstance(described, dict)
            or not isinstance(required, list)
            or name not in required
        ):
            return False
        values = [described["const"]] if "const" in described else described.get("enum")
        if branch.get("type") != "object" or not isinstance(values, list):
            return False
        if not all(isinstance(value, str) and value not in seen for value in values):
            return False
        seen.update(values)
    return True


def _resolved(schema: object, root: Schema) -> Schema:
    if not isinstance(schema, dict):
        return {}
    match schema.get("$ref"), len(schema):
        case (str(ref), 1) if match := re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", ref):
            group = root.get(match[1])
            target = group.get(match[2]) if isinstance(group, dict) else None
            return target if isinstance(target, dict) else {}
        case _:
            return schema
