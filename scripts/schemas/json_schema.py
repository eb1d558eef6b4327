"""Make JSON Schema from the types of the wire: msgspec for requests, pydantic for what is sent."""

from collections.abc import Iterable
from typing import Any

import msgspec
from pydantic import TypeAdapter
from typing_extensions import TypeAliasType

from turnstream.turns import event_shapes, shapes
from turnstream.ws_server import bodies, notices, requests
from turnstream.ws_server.batches import bodies as bulk

Json = dict[str, Any]
#: A class, or a name for one whose type variables are filled in.
Shape = type | TypeAliasType

#: Each is a schema by its own name, with all that it is made of.
SENT: tuple[Shape, ...] = (
    *event_shapes.Event.__args__,
    notices.SteerFailed,
    notices.Draining,
    shapes.Response,
    bodies.ErrorBody,
    bodies.Deleted,
    bodies.InputItemList,
    bodies.InputTokens,
    bodies.Compaction,
    bodies.ModelList,
    bodies.Completion,
    bodies.Chunk,
    bodies.Health,
    bulk.FileList,
    bulk.FileDeleted,
    bulk.BatchList,
)
ASKED: tuple[type, ...] = (
    requests.ResponseBody,
    requests.CompactBody,
    requests.CompletionBody,
    bulk.BatchRequest,
    bulk.FileForm,
    *requests.FRAMES,
)
_TEMPLATE = "#/components/schemas/{model}"


def components() -> Json:
    """Write every schema, by name: what is sent has no other fields, what is asked may have."""
    sent = _definitions(SENT)
    for schema in sent.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    asked = _asked()
    assert not sent.keys() & asked.keys(), "two types have one name"
    return sent | asked


def _asked() -> dict[str, Json]:
    _, made = msgspec.json.schema_components(
        ASKED, ref_template=_TEMPLATE.replace("{model}", "{name}")
    )
    # A message's type may be left out, which a tagged union cannot say.
    made["Message"]["required"].remove("type")
    definitions: dict[str, Json] = _untitled(made)
    return definitions


def ref(shape: Shape) -> Json:
    """Point to a schema."""
    return {"$ref": _TEMPLATE.format(model=shape.__name__)}


def _definitions(types: Iterable[Any]) -> dict[str, Json]:
    adapters = [(shape, "serialization", TypeAdapter(shape)) for shape in types]
    _, made = TypeAdapter.json_schemas(adapters, ref_template=_TEMPLATE)  # type: ignore[arg-type]
    definitions: dict[str, Json] = _untitled(made["$defs"])
    assert not any("__" in name for name in definitions), "two types have one name"
    return definitions


def _untitled(schema: Any) -> Any:
    """Leave out the titles, which only repeat the names."""
    match schema:
        case dict():
            return {
                key: _untitled(value)
                for key, value in schema.items()
                if not (key == "title" and isinstance(value, str)) and key != "discriminator"
            }
        case list():
            return [_untitled(value) for value in schema]
        case _:
            return schema
