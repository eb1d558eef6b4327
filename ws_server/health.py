"""Whether this process lives, and whether a turn would be answered."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.ws_server.bodies import Health
from turnstream.ws_server.wire import json_response


async def healthz(request: Request) -> Response:
    """`GET /healthz`: this process is alive."""
    return json_response(Health(status="ok"))


async def readyz(request: Request) -> Response:
    """`GET /readyz`: 200 if a worker of the default model has a recent heartbeat, else 503."""
    turn_client: TurnClient = request.app.state.turn_client
    model: str = request.app.state.model
    try:
        served = await turn_client.is_served(model)
    except TurnError:
        return json_response(Health(status="no redis"), status=503)
    if not served:
        return json_response(Health(status=f"no worker for {model}"), status=503)
    return json_response(Health(status="ready"))
