"""What is asked of a conversation without having it answered: how long it is, and what to keep."""

import secrets
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turnstream.turns.client import TurnClient
from turnstream.turns.turn import Turn
from turnstream.ws_server import bodies, compaction
from turnstream.ws_server.access import owner_of
from turnstream.ws_server.create import Create, read_compact, read_create
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.http import read_body
from turnstream.ws_server.references import resolved


async def count_input_tokens(request: Request) -> Response:
    """`POST /v1/responses/input_tokens`: how long the prompt of such a response would be."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    create = read_create(read_json(await read_body(request)))
    count = await turn_client.counts.count(await _turn(request, create, owner))
    body: bodies.InputTokens = {"object": "response.input_tokens", "input_tokens": count.tokens}
    return JSONResponse(body)


async def compact(request: Request) -> Response:
    """`POST /v1/responses/compact`: the latest turns that leave room for more, as one item."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    create = read_compact(read_json(await read_body(request)))
    count = await turn_client.counts.count(await _turn(request, create, owner), compact=True)
    name = secrets.token_hex(16)
    body: bodies.Compaction = {
        "id": f"resp_{name}",
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [
            {
                "id": f"cmp_{name}",
                "type": "compaction",
                "encrypted_content": compaction.written(count.kept),
            }
        ],
        # Nothing was generated.
        "usage": {
            "input_tokens": count.tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": count.tokens,
        },
    }
    return JSONResponse(body)


async def _turn(request: Request, create: Create, owner: str) -> Turn:
    turn_client: TurnClient = request.app.state.turn_client
    directory: Directory = request.app.state.directory
    model = await directory.find(create.model)
    create = await resolved(create, turn_client.stored, owner)
    return create.turn(owner, model, previous_cached=False)
