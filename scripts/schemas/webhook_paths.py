"""The paths of webhook endpoints, with their parameters and answers."""

from typing import Any

from scripts.schemas.operation import operation, page_of_items, path
from turnstream.ws_server.webhooks import bodies

Json = dict[str, Any]


def webhook_paths() -> Json:
    id = path("id", "Id of a webhook endpoint.")
    limit, _, after = page_of_items()
    return {
        "/v1/webhook_endpoints": {
            "post": operation(
                "create_webhook_endpoint",
                "Create a webhook endpoint; its secret is in this answer only.",
                bodies.WebhookEndpointWithSecret,
                body=bodies.WebhookEndpointBody,
                wrong=(400,),
                leads_to=(
                    "get_webhook_endpoint",
                    "update_webhook_endpoint",
                    "rotate_webhook_secret",
                    "delete_webhook_endpoint",
                ),
            ),
            "get": operation(
                "list_webhook_endpoints",
                "List the webhook endpoints, newest first.",
                bodies.WebhookEndpointList,
                parameters=[limit, after],
                wrong=(400,),
            ),
        },
        "/v1/webhook_endpoints/{id}": {
            "get": operation(
                "get_webhook_endpoint",
                "Get a webhook endpoint.",
                bodies.WebhookEndpoint,
                parameters=[id],
                wrong=(404,),
            ),
            "post": operation(
                "update_webhook_endpoint",
                "Change a webhook endpoint's name, URL or events.",
                bodies.WebhookEndpoint,
                body=bodies.WebhookEndpointUpdateBody,
                parameters=[id],
                wrong=(400, 404),
            ),
            "delete": operation(
                "delete_webhook_endpoint",
                "Delete a webhook endpoint, and what waits for it.",
                bodies.WebhookEndpointDeleted,
                parameters=[id],
                wrong=(404,),
            ),
        },
        "/v1/webhook_endpoints/{id}/rotate_secret": {
            "post": operation(
                "rotate_webhook_secret",
                "Replace the secret of a webhook endpoint; the new one is in this answer only.",
                bodies.WebhookEndpointWithSecret,
                body=bodies.RotateSecretBody,
                parameters=[id],
                wrong=(400, 404, 409),
            )
        },
        "/v1/webhook_endpoints/{id}/test": {
            "post": operation(
                "test_webhook_endpoint",
                "Send a webhook endpoint a sample event, and tell what it answered.",
                bodies.WebhookTestResult,
                body=bodies.WebhookTestBody,
                parameters=[id],
                wrong=(400, 404, 429),
            )
        },
        "/v1/webhook_event_types": {
            "get": operation(
                "list_webhook_event_types",
                "List what a webhook endpoint may be told of.",
                bodies.WebhookEventTypeList,
            )
        },
    }
