"""Submit the turn of an HTTP request; its answer says what its owner has left of its limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.requests import Request

from turnstream.turns.errors import RateLimited
from turnstream.turns.follower import Follower
from turnstream.turns.turn import Turn
from turnstream.ws_server.answer_headers import note, origin_of
from turnstream.ws_server.rate_headers import rate_headers
from turnstream.ws_server.state import state_of


@asynccontextmanager
async def submitted(request: Request, turn: Turn) -> AsyncIterator[Follower]:
    """Submit a turn and follow it, as `TurnClient.submit` does.

    Raises:
        TurnError: as `TurnClient.submit` does.
    """
    try:
        turn = replace(turn, origin=origin_of(request))
        async with state_of(request).turn_client.submit(turn) as follower:
            if follower.limit_use is not None:
                note(request, rate_headers(follower.limit_use))
            yield follower
    except RateLimited as exc:
        note(request, rate_headers(exc.use))
        raise
