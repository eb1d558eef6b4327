"""The Redis keys of webhooks, one function each, as `turns.keys` has the others."""


def webhook_endpoint(id: str) -> str:
    """Hash: the record of an endpoint."""
    return f"ts:webhook-endpoint:{id}"


def webhook_endpoints(owner: str) -> str:
    """Sorted set: an owner's endpoints, by when they were created, in milliseconds."""
    return f"ts:webhook-endpoints:{owner}"


def webhook_subscriptions(owner: str) -> str:
    """Hash: the event types that each of an owner's endpoints wants, by its id."""
    return f"ts:webhook-subscriptions:{owner}"


def webhook_payloads(endpoint: str) -> str:
    """Hash: the body of each delivery to an endpoint that was not accepted yet, by its event."""
    return f"ts:webhook-payloads:{endpoint}"


def webhook_attempts(endpoint: str) -> str:
    """Hash: of those that were attempted how often, and what came of the last attempt, as JSON."""
    return f"ts:webhook-attempts:{endpoint}"


def webhook_outbox(endpoint: str) -> str:
    """Sorted set: events that wait for an endpoint, by when each is due, in milliseconds; of one
    that is being sent, when its lease ends."""
    return f"ts:webhook-outbox:{endpoint}"


def webhook_leases(endpoint: str) -> str:
    """Sorted set: events that are being sent to an endpoint, by when the lease of each ends."""
    return f"ts:webhook-leases:{endpoint}"


def webhook_dead_letters(endpoint: str) -> str:
    """Sorted set: events that were attempted for a day in vain, by when the last failed, in ms."""
    return f"ts:webhook-dead-letters:{endpoint}"


def webhook_due() -> str:
    """Sorted set: endpoints with events that wait, by when to look at each, in milliseconds."""
    return "ts:webhook-due"
