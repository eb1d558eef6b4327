"""Make the JSON Schemas of what is sent and received from the wire's msgspec structs."""

from typing import Any

import msgspec

from turnstream.turns import event_shapes, feed_shapes, shapes
from turnstream.ws_server import (
    bodies,
    completion_bodies,
    feed_bodies,
    requests,
    socket_bodies,
    token_bodies,
)
from turnstream.ws_server import conversation_bodies as conversations
from turnstream.ws_server.batches import bodies as batches
from turnstream.ws_server.webhooks import bodies as webhooks

Json = dict[str, Any]

SENT: tuple[type, ...] = (
    *event_shapes.EVENTS,
    *feed_shapes.ENTRIES,
    feed_bodies.Followed,
    feed_bodies.Unfollowed,
    socket_bodies.SteerAccepted,
    socket_bodies.SteerPending,
    socket_bodies.SteerFailed,
    socket_bodies.Draining,
    token_bodies.TokenExpired,
    token_bodies.TokenRefreshed,
    token_bodies.ClientToken,
    shapes.Response,
    bodies.ErrorBody,
    bodies.Deleted,
    bodies.InputItemList,
    bodies.InputTokens,
    bodies.Compaction,
    bodies.ModelList,
    conversations.Conversation,
    conversations.ConversationDeleted,
    conversations.ConversationItemList,
    bodies.Completion,
    bodies.Chunk,
    completion_bodies.TextCompletion,
    bodies.Health,
    batches.FileList,
    batches.FileDeleted,
    batches.BatchList,
    webhooks.WebhookEndpointWithSecret,
    webhooks.WebhookEndpointList,
    webhooks.WebhookEndpointDeleted,
    webhooks.WebhookTestResult,
    webhooks.WebhookEventTypeList,
)
ASKED: tuple[type, ...] = (
    requests.ResponseBody,
    requests.CompactBody,
    requests.CompletionBody,
    completion_bodies.TextCompletionBody,
    conversations.ConversationBody,
    conversations.ConversationUpdateBody,
    conversations.ConversationItemsBody,
    token_bodies.ClientTokenBody,
    requests.BatchRequest,
    webhooks.WebhookEndpointBody,
    webhooks.WebhookEndpointUpdateBody,
    webhooks.RotateSecretBody,
    webhooks.WebhookTestBody,
    requests.FileForm,
    *requests.FRAMES,
)
_TEMPLATE = "#/components/schemas/{name}"


def components() -> Json:
    """Return every schema by name.

    What is sent has no other fields than declared, and all of them except those that may be UNSET;
    what is received may have unknown fields, which are ignored.
    """
    sent, received = _schemas(SENT), _schemas(ASKED)
    for schema in sent.values():
        if "properties" in schema:
            schema["required"] += _constants(schema["properties"])
            schema["additionalProperties"] = False
    # A message's type may be left out, which a tagged union cannot say.
    received["Message"]["required"].remove("type")
    assert not sent.keys() & received.keys(), "two types have one name"
    return sent | received


def ref(kind: type) -> Json:
    """Return a reference to the schema of a struct."""
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}


def _constants(properties: Json) -> list[str]:
    """Remove the defaults of fields and return their names: these fields are always sent."""
    names = [name for name, schema in properties.items() if "default" in schema]
    for name in names:
        del properties[name]["default"]
    return names


def _schemas(kinds: tuple[type, ...]) -> dict[str, Json]:
    _, made = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    assert all(name.isidentifier() for name in made), "two types have one name"
    schemas: dict[str, Json] = _plain(made)
    return schemas


def _plain(schema: Any) -> Any:
    """Leave out titles, which repeat the names, and write an enum of one value as a constant."""
    match schema:
        case {"enum": [value]}:
            return _plain({key: schema[key] for key in schema if key != "enum"} | {"const": value})
        case dict():
            return {
                key: _plain(value)
                for key, value in schema.items()
                if not (key == "title" and isinstance(value, str)) and key != "discriminator"
            }
        case list():
            return [_plain(value) for value in schema]
        case _:
            return schema
