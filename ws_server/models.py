"""The models that requests may name, and whether this node can serve them."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.errors import RedisUnusable
from turnstream.turns.redis_problem import RedisProblem
from turnstream.ws_server import bodies
from turnstream.ws_server.directory import Model
from turnstream.ws_server.state import admit_visitor, state_of
from turnstream.ws_server.wire import json_response


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: all of them, the default one first."""
    state, _ = await admit_visitor(request)
    return json_response(bodies.ModelList(data=tuple(map(_object, await state.directory.all()))))


async def get_model(request: Request) -> Response:
    """`GET /v1/models/NAME`: one of them."""
    state, _ = await admit_visitor(request)
    return json_response(_object(await state.directory.find(request.path_params["name"])))


def _object(model: Model) -> bodies.Model:
    return bodies.Model(id=model.name, created=model.created)


async def healthz(request: Request) -> Response:
    """`GET /healthz`: this process is alive."""
    return json_response(bodies.Health(status="ok"))


async def readyz(request: Request) -> Response:
    """`GET /readyz`: 200 if a turn can be written and a worker of the model is alive.

    The model is the one that `?model=` names, or the default one.
    """
    state = state_of(request)
    model = request.query_params.get("model") or state.model
    if (problem := await state.turn_client.redis_problem(state.model)) is not None:
        return _redis_away(problem)
    try:
        served = await state.turn_client.models.is_served(model)
        percent = None if served else await state.turn_client.models.loaded_percent(model)
    except RedisUnusable as exc:
        return _redis_away(exc.problem)
    if not served:
        body = bodies.Health(status=f"no worker for {model[:80]}")
        if percent is not None:
            detail = f"a worker loads {model[:80]}: {percent} %"
            body = bodies.Health(status=body.status, detail=detail)
        return json_response(body, status=503)
    return json_response(bodies.Health(status="ready"))


def _redis_away(problem: RedisProblem) -> Response:
    body = bodies.Health(status="no redis", cause=problem.cause, detail=str(problem))
    return json_response(body, status=503)
