"""What `/v1/webhook_endpoints` takes and what it answers with."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from turnstream.turns.shapes import Seconds
from turnstream.turns.webhook_events import EventType
from turnstream.ws_server.bodies import ListPage

EndpointId = Annotated[str, Meta(pattern="^we_[0-9a-f]{32}$")]
EndpointName = Annotated[str, Meta(min_length=1, max_length=256)]
EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=64)]


class WebhookEndpointBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints`."""

    name: EndpointName
    url: str
    event_types: EventTypes


class WebhookEndpointUpdateBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}`: what is absent stays as it is."""

    name: EndpointName | None = None
    url: str | None = None
    event_types: EventTypes | None = None


class RotateSecretBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}/rotate_secret`."""

    #: Whether deliveries are signed with the secret that is replaced too, for a day.
    keep_old_secret_active_for_24_hours: bool | None = None


class WebhookTestBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/webhook_endpoints/{id}/test`."""

    event_type: EventType


class WebhookEndpoint(Struct, frozen=True, kw_only=True):
    """A webhook endpoint, without its secret."""

    id: EndpointId
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: Seconds
    #: When it, or its secret, was last changed.
    updated_at: Seconds
    name: str
    url: str
    event_types: tuple[str, ...]
    #: The end of its secret.
    signing_secret_hint: str


class WebhookEndpointWithSecret(WebhookEndpoint, frozen=True, kw_only=True):
    """A webhook endpoint with its secret, which is shown when it is made or replaced."""

    signing_secret: str


class WebhookEndpointList(ListPage[WebhookEndpoint, str], frozen=True, kw_only=True):
    """A page of webhook endpoints, newest first."""


class WebhookEndpointDeleted(Struct, frozen=True, kw_only=True):
    """A webhook endpoint was deleted, with what waited for it."""

    id: EndpointId
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class WebhookTestResult(Struct, frozen=True, kw_only=True):
    """An endpoint answered to a sample event, with whatever status."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: EndpointId
    event_type: EventType
    status_code: int
    success: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class WebhookEventTypeList(Struct, frozen=True, kw_only=True):
    """The event types that an endpoint may ask for."""

    object: Literal["list"] = "list"
    data: tuple[EventType, ...]
