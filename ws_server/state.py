"""What the request handlers of a node share; it exists while the application runs."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from turnstream.turns.client import TurnClient
from turnstream.turns.traces import NO_TRACES, Traces
from turnstream.ws_server.access import Access
from turnstream.ws_server.batches.service import BatchService
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.connections.counts import Counts
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.reading import Reading
from turnstream.ws_server.settings import SocketLimits
from turnstream.ws_server.visitor import Visitor
from turnstream.ws_server.webhooks.service import WebhookService

if TYPE_CHECKING:
    from turnstream.ws_server.feed_stream import FeedStream
    from turnstream.ws_server.socket import Session

#: Key of the owner in the scope of a request that was admitted.
OWNER = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """The parts of a node."""

    access: Access
    turn_client: TurnClient
    directory: Directory
    grammars: GrammarCheck
    batches: BatchService
    webhooks: WebhookService
    #: Name of the default model.
    model: str
    socket_limits: SocketLimits
    #: What is sent is read here; without it a burst is read whole before another's message.
    reading: Reading
    #: Memory of the requests that are not answered yet, by owner.
    requests: ByteRoom
    #: The open sockets of each owner.
    owner_sockets: Counts
    #: What each owner follows.
    owner_feeds: Counts
    traces: Traces = NO_TRACES
    #: Held while the metrics are read.
    scraping: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: The open sockets.
    sessions: set["Session"] = field(default_factory=set)
    #: The feeds that are followed over HTTP.
    feed_streams: set["FeedStream"] = field(default_factory=set)


def state_of(connection: HTTPConnection) -> NodeState:
    """Return the node's state."""
    state: NodeState = connection.app.state.node
    return state


async def admit(request: HTTPConnection) -> tuple[NodeState, str]:
    """Return the node's state, and the owner that a request's key belongs to.

    Raises:
        BoundToken: the key is a client token for one conversation or response.
        TurnError: as `admit_visitor` does.
    """
    state, visitor = await admit_visitor(request)
    visitor.check_unbound()
    return state, visitor.owner


async def admit_visitor(request: HTTPConnection) -> tuple[NodeState, Visitor]:
    """Return the node's state, and the client, whose key the caller checks further.

    Raises:
        Forbidden: the request comes from a page of another host.
        Unauthorized: the key is missing or unknown.
        Overloaded: Redis is needed to know, and away.
    """
    state = state_of(request)
    visitor = await state.access.admit(request)
    request.scope[OWNER] = visitor.owner
    return state, visitor
