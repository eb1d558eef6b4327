"""Answers `/metrics` of a node, at its own port and, if there is one, at a port for nothing else.

What is in Redis, and what the node holds at the moment, is read when it is asked for. All nodes
report the same queue, so it is not to be added up over nodes.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.errors import Overloaded
from turnstream.turns.overview import Overview
from turnstream.turns.webhook_outbox import Backlog
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.state import NodeState, state_of

log = logging.getLogger(__name__)

#: A scrape waits this long for the event loop and for Redis; both have bounds of their own.
READ_SECONDS = 10.0


class NodeRegistry(CollectorRegistry):
    """All metrics of this process, and those that are read now; not for the loop's own thread."""

    def __init__(self, state: NodeState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._state = state
        self._loop = loop

    def collect(self) -> Iterable[Metric]:
        """Return the metrics for a scrape."""
        reading = asyncio.run_coroutine_threadsafe(_read(self._state), self._loop)
        read = reading.result(READ_SECONDS)
        yield from REGISTRY.collect()
        yield from read


async def _read(state: NodeState) -> list[Metric]:
    problem = await state.turn_client.redis_problem(state.model)
    events, held = state.turn_client.relay.outbox()
    metrics: list[Metric] = [
        GaugeMetricFamily(f"turnstream_{name}", meaning, value)
        for name, meaning, value in (
            ("redis_writable", "Whether Redis can take a turn: 1 or 0.", problem is None),
            ("sockets", "WebSockets that are open at this node.", len(state.sessions)),
            ("followed_turns", "Turns with readers at this node.", _followed(state)),
            ("outbox_events", "Events that wait at this node until clients read.", events),
            ("outbox_bytes", "Memory of the events that are not sent yet.", held),
        )
    ]
    try:
        metrics += _queue(await state.turn_client.overview())
        metrics += _webhooks(await state.webhooks.outbox.backlog())
    except Overloaded:
        # What is not known is left out: a queue of 0 would say that nobody waits.
        pass
    return metrics


def _followed(state: NodeState) -> int:
    return len(state.turn_client.relay.followed())


def _queue(overview: Overview) -> Iterable[Metric]:
    yield GaugeMetricFamily("turnstream_batches", "Batches that have not ended.", overview.batches)
    capacity = [
        GaugeMetricFamily(f"turnstream_{name}", meaning, labels=["model_name"])
        for name, meaning in (
            ("workers", "Workers of a model that are alive."),
            ("slots", "Slots of all workers of a model."),
            ("free_slots", "Those of them that no turn uses."),
        )
    ]
    waits = [
        GaugeMetricFamily(f"turnstream_{name}", meaning, labels=["model_name", "tier"])
        for name, meaning in (
            ("num_requests_waiting", "Turns that wait in the queue of a model, by tier."),
            ("oldest_wait_seconds", "How long the turn has waited that has waited longest."),
            ("queue_eta_seconds", "Estimated time until the last turn that waits is claimed."),
        )
    ]
    for model in overview.models:
        for family, value in zip(
            capacity, (model.workers, model.slots, model.free_slots), strict=True
        ):
            family.add_metric([model.name], value)
        for tier in model.tiers:
            values = (tier.waiting, tier.oldest_seconds, tier.eta_seconds)
            for family, known in zip(waits, values, strict=True):
                if known is not None:
                    family.add_metric([model.name, tier.tier], known)
    yield from capacity
    yield from waits


def _webhooks(backlog: Backlog) -> Iterable[Metric]:
    for name, meaning, value in (
        ("deliveries", "Deliveries of webhooks that wait or are being sent.", backlog.deliveries),
        (
            "late_seconds",
            "How long the delivery has been due that has been due longest.",
            backlog.late_seconds,
        ),
        (
            "failing_endpoints",
            "Endpoints with deliveries whose last attempt failed.",
            backlog.failing_endpoints,
        ),
    ):
        yield GaugeMetricFamily(f"turnstream_webhook_{name}", meaning, value)


async def metrics(request: Request) -> Response:
    """`GET /metrics`: the metrics in Prometheus' text format."""
    state = state_of(request)
    state.access.check_metrics(request)
    registry = NodeRegistry(state, asyncio.get_running_loop())
    # One at a time: each has a thread and calls Redis.
    async with state.scraping:
        text = await asyncio.to_thread(generate_latest, registry)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


@contextmanager
def metrics_port(state: NodeState, settings: ServerSettings) -> Iterator[None]:
    """Answer `/metrics` on the port for nothing else, if the settings have one.

    A port that can't be used is logged: a node serves without metrics too.
    """
    if not settings.metrics_port:
        yield
        return
    host, port = settings.metrics_host, settings.metrics_port
    registry = NodeRegistry(state, asyncio.get_running_loop())
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as exc:
        log.warning("no metrics: %s port %d can't be used: %s", host, port, exc.strerror)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
