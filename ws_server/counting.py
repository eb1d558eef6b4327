"""Requests about a conversation that generate nothing: its length, and its compaction."""

import secrets
import time

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.shapes import InputTokensDetails, Usage
from turnstream.turns.turn import Turn
from turnstream.ws_server import bodies, compaction
from turnstream.ws_server.body import read_request, share_of
from turnstream.ws_server.create import Create, read_compact, read_create
from turnstream.ws_server.references import resolved
from turnstream.ws_server.state import NodeState, admit
from turnstream.ws_server.unanswered import parts_memory
from turnstream.ws_server.wire import json_response


async def count_input_tokens(request: Request) -> Response:
    """`POST /v1/responses/input_tokens`: count the prompt of such a response."""
    state, owner = await admit(request)
    create = await read_request(request, read_create)
    turn = await _turn(request, state, create, owner)
    count = await state.turn_client.counts.count(turn)
    return json_response(bodies.InputTokens(input_tokens=count.tokens))


async def compact(request: Request) -> Response:
    """`POST /v1/responses/compact`: return the latest turns as one item."""
    state, owner = await admit(request)
    create = await read_request(request, read_compact)
    turn = await _turn(request, state, create, owner)
    count = await state.turn_client.counts.count(turn, compact=True)
    name = secrets.token_hex(16)
    item = bodies.CompactionItem(id=f"cmp_{name}", encrypted_content=compaction.written(count.kept))
    # Nothing was generated.
    usage = Usage(
        input_tokens=count.tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=0),
        output_tokens=0,
        total_tokens=count.tokens,
    )
    return json_response(
        bodies.Compaction(
            id=f"resp_{name}", created_at=int(time.time()), output=(item,), usage=usage
        )
    )


async def _turn(request: Request, state: NodeState, create: Create, owner: str) -> Turn:
    share = share_of(request)
    share.take(parts_memory(create))
    model = await state.directory.find(create.model)
    create = await resolved(create, state.turn_client, owner, share.take)
    return create.turn(owner, model, previous_cached=False)
