"""A client of the service: turns that are read to their end, whatever happens to the connection.

It imports no other room: what it knows of the service is the wire. `Client` is for ordinary code,
`AsyncClient` for an event loop, which may hold thousands of them.
"""

from turnstream.client.async_client import AsyncClient
from turnstream.client.errors import (
    ClientClosed,
    ClientError,
    RequestRefused,
    TurnFailed,
    Unreachable,
)
from turnstream.client.event import Event, Json, QueuePlace, Response, ToolCall
from turnstream.client.feed import AsyncFeed, FeedEntry
from turnstream.client.options import Options
from turnstream.client.request import CreateBody
from turnstream.client.sync_client import Client, Feed, Turn
from turnstream.client.turn import AsyncTurn

__all__ = [
    "AsyncClient",
    "AsyncFeed",
    "AsyncTurn",
    "Client",
    "ClientClosed",
    "ClientError",
    "CreateBody",
    "Event",
    "Feed",
    "FeedEntry",
    "Json",
    "Options",
    "QueuePlace",
    "RequestRefused",
    "Response",
    "ToolCall",
    "Turn",
    "TurnFailed",
    "Unreachable",
]
