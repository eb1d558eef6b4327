"""Create, list, read, change, test and delete webhook endpoints: `/v1/webhook_endpoints`."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from turnstream.turns.errors import BadRequest, RateLimited
from turnstream.turns.webhook_events import EVENT_TYPES
from turnstream.turns.webhooks import Endpoint
from turnstream.ws_server import field
from turnstream.ws_server.body import read_request
from turnstream.ws_server.decode import decode
from turnstream.ws_server.request_errors import (
    ServerKeyRequired,
    WebhookEndpointChanged,
    WebhookEndpointNotFound,
)
from turnstream.ws_server.state import admit_visitor
from turnstream.ws_server.webhooks.addresses import check_url
from turnstream.ws_server.webhooks.bodies import (
    RotateSecretBody,
    WebhookEndpoint,
    WebhookEndpointBody,
    WebhookEndpointDeleted,
    WebhookEndpointList,
    WebhookEndpointUpdateBody,
    WebhookEndpointWithSecret,
    WebhookEventTypeList,
    WebhookTestBody,
    WebhookTestResult,
)
from turnstream.ws_server.webhooks.samples import sample
from turnstream.ws_server.webhooks.sender import NotSent
from turnstream.ws_server.webhooks.service import WebhookService
from turnstream.ws_server.wire import json_response

#: After how long an owner with too many tests under way is told to try again.
_RETRY_MS = 1000


async def create_endpoint(request: Request) -> Response:
    """`POST /v1/webhook_endpoints`: make one; its secret is in this answer only."""
    service, owner = await _admit(request)
    asked = await read_request(request, partial(decode, kind=WebhookEndpointBody))
    _check_url(service, asked.url)
    made = await service.endpoints.create(
        owner, name=asked.name, url=asked.url, event_types=asked.event_types
    )
    return json_response(_with_secret(made))


async def list_endpoints(request: Request) -> Response:
    """`GET /v1/webhook_endpoints`: the owner's, newest first."""
    service, owner = await _admit(request)
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    found, more = await service.endpoints.page(owner, after=query.get("after"), limit=limit)
    return json_response(WebhookEndpointList.of([_body(each) for each in found], more=more))


async def get_endpoint(request: Request) -> Response:
    """`GET /v1/webhook_endpoints/ID`."""
    service, owner = await _admit(request)
    return json_response(_body(await _find(service, owner, request)))


async def update_endpoint(request: Request) -> Response:
    """`POST /v1/webhook_endpoints/ID`: change its name, its URL or the events it wants."""
    service, owner = await _admit(request)
    asked = await read_request(request, partial(decode, kind=WebhookEndpointUpdateBody))
    if asked.url is not None:
        _check_url(service, asked.url)
    changed = await service.endpoints.update(
        await _find(service, owner, request),
        name=asked.name,
        url=asked.url,
        event_types=asked.event_types,
    )
    if changed is None:
        raise WebhookEndpointNotFound(request.path_params["id"])
    return json_response(_body(changed))


async def delete_endpoint(request: Request) -> Response:
    """`DELETE /v1/webhook_endpoints/ID`: delete it, and what waits for it."""
    service, owner = await _admit(request)
    id = request.path_params["id"]
    if not await service.endpoints.delete(id, owner):
        raise WebhookEndpointNotFound(id)
    return json_response(WebhookEndpointDeleted(id=id))


async def rotate_secret(request: Request) -> Response:
    """`POST /v1/webhook_endpoints/ID/rotate_secret`: replace its secret."""
    service, owner = await _admit(request)
    asked = await read_request(request, partial(decode, kind=RotateSecretBody), empty=b"{}")
    keep_old = bool(asked.keep_old_secret_active_for_24_hours)
    found = await _find(service, owner, request)
    rotated = await service.endpoints.rotate(found, keep_old=keep_old)
    if rotated is None:
        raise WebhookEndpointChanged(found.id)
    return json_response(_with_secret(rotated))


async def test_endpoint(request: Request) -> Response:
    """`POST /v1/webhook_endpoints/ID/test`: send it a sample event now, once."""
    service, owner = await _admit(request)
    asked = await read_request(request, partial(decode, kind=WebhookTestBody))
    found = await _find(service, owner, request)
    if not service.tests.take(owner):
        raise RateLimited("webhook_tests", service.tests.most, _RETRY_MS)
    try:
        status = await service.sender.post(
            found.url, *sample(asked.event_type), found.secrets_in_use
        )
    except NotSent as exc:
        raise BadRequest(
            f"The endpoint was not reached: {exc}.", code="webhook_endpoint_unreachable"
        ) from exc
    finally:
        service.tests.release(owner)
    return json_response(
        WebhookTestResult(
            webhook_endpoint_id=found.id, event_type=asked.event_type, status_code=status
        )
    )


async def list_event_types(request: Request) -> Response:
    """`GET /v1/webhook_event_types`: what an endpoint may ask for."""
    await _admit(request)
    return json_response(WebhookEventTypeList(data=EVENT_TYPES))


async def _admit(request: Request) -> tuple[WebhookService, str]:
    state, visitor = await admit_visitor(request)
    if visitor.is_token:
        # It would outlive the token, and tell somebody of all that its owner asks.
        raise ServerKeyRequired("Webhooks are managed with a server's key.")
    return state.webhooks, visitor.owner


async def _find(service: WebhookService, owner: str, request: Request) -> Endpoint:
    id = request.path_params["id"]
    found = await service.endpoints.get(id, owner)
    if found is None:
        raise WebhookEndpointNotFound(id)
    return found


def _check_url(service: WebhookService, url: str) -> None:
    try:
        check_url(url, service.targets)
    except ValueError as exc:
        raise field.wrong("url", str(exc)) from exc


def _body(endpoint: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=endpoint.id,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
        name=endpoint.name,
        url=endpoint.url,
        event_types=endpoint.event_types,
        signing_secret_hint=endpoint.secret_hint,
    )


def _with_secret(endpoint: Endpoint) -> WebhookEndpointWithSecret:
    return WebhookEndpointWithSecret(
        id=endpoint.id,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
        name=endpoint.name,
        url=endpoint.url,
        event_types=endpoint.event_types,
        signing_secret_hint=endpoint.secret_hint,
        signing_secret=endpoint.secret,
    )


#: All of them.
ROUTES = (
    Route("/v1/webhook_endpoints", create_endpoint, methods=["POST"]),
    Route("/v1/webhook_endpoints", list_endpoints),
    Route("/v1/webhook_endpoints/{id}", get_endpoint),
    Route("/v1/webhook_endpoints/{id}", update_endpoint, methods=["POST"]),
    Route("/v1/webhook_endpoints/{id}", delete_endpoint, methods=["DELETE"]),
    Route("/v1/webhook_endpoints/{id}/rotate_secret", rotate_secret, methods=["POST"]),
    Route("/v1/webhook_endpoints/{id}/test", test_endpoint, methods=["POST"]),
    Route("/v1/webhook_event_types", list_event_types),
)
