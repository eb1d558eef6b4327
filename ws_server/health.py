"""Whether this process lives, and whether a turn would be answered."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError


async def healthz(request: Request) -> Response:
    """`GET /healthz`: this process is alive."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """`GET /readyz`: 200 while a worker of the default model was heard of lately, else 503."""
    turn_client: TurnClient = request.app.state.turn_client
    model: str = request.app.state.model
    try:
        served = await turn_client.is_served(model)
    except TurnError:
        return JSONResponse({"status": "no redis"}, status_code=503)
    if not served:
        return JSONResponse({"status": f"no worker for {model}"}, status_code=503)
    return JSONResponse({"status": "ready"})
