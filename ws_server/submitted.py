"""Submit the turn of an HTTP request; its answer says what its owner has left of its limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from turnstream.turns.errors import RateLimited
from turnstream.turns.follower import Follower
from turnstream.turns.turn import Turn
from turnstream.ws_server.answer_headers import note, with_origin
from turnstream.ws_server.rate_headers import rate_headers
from turnstream.ws_server.state import state_of
from turnstream.ws_server.traced import traced


@asynccontextmanager
async def submitted(request: Request, turn: Turn) -> AsyncIterator[Follower]:
    """Submit a turn and follow it, as `TurnClient.submit` does.

    Raises:
        TurnError: as `TurnClient.submit` does.
    """
    try:
        state = state_of(request)
        turn = with_origin(turn, request)
        async with traced(state.traces, turn, state.turn_client.submit) as follower:
            if follower.limit_use is not None:
                note(request, rate_headers(follower.limit_use))
            yield follower
    except RateLimited as exc:
        note(request, rate_headers(exc.use))
        raise
