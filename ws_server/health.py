"""Whether this process lives, and whether a turn would be answered."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.errors import TurnError
from turnstream.ws_server.bodies import Health
from turnstream.ws_server.state import state_of
from turnstream.ws_server.wire import json_response


async def healthz(request: Request) -> Response:
    """`GET /healthz`: this process is alive."""
    return json_response(Health(status="ok"))


async def readyz(request: Request) -> Response:
    """`GET /readyz`: 200 if a worker of the default model has a recent heartbeat, else 503."""
    state = state_of(request)
    try:
        served = await state.turn_client.is_served(state.model)
    except TurnError:
        return json_response(Health(status="no redis"), status=503)
    if not served:
        return json_response(Health(status=f"no worker for {state.model}"), status=503)
    return json_response(Health(status="ready"))
