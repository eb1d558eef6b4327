"""Answers `/metrics` of a worker, on a port of its own."""

import logging
from collections.abc import Iterable

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

_PREFIX = "turnstream_"


class WorkerRegistry(CollectorRegistry):
    """All metrics of this process, those of ours with the label `model_name`."""

    def __init__(self, active: ActiveTurns, model: str) -> None:
        super().__init__()
        self._active = active
        self._model = model

    def collect(self) -> Iterable[Metric]:
        """Return the metrics for a scrape."""
        for metric in (*REGISTRY.collect(), *self._gauges()):
            if metric.name.startswith(_PREFIX):
                metric.samples = [
                    sample._replace(labels={**sample.labels, "model_name": self._model})
                    for sample in metric.samples
                ]
            yield metric

    def _gauges(self) -> Iterable[Metric]:
        free = self._active.free_slots()
        yield GaugeMetricFamily(
            "turnstream_num_requests_running",
            "Slots of the engine that a turn uses.",
            self._active.slots - free,
        )
        yield GaugeMetricFamily(
            "turnstream_engine_slots", "Slots of the engine.", self._active.slots
        )


def serve(active: ActiveTurns, *, model: str, host: str, port: int) -> None:
    """Answer `/metrics` on a port, on threads of its own; 0 is no port.

    A port that can't be used is logged: a worker answers turns without metrics too.
    """
    if not port:
        return
    try:
        start_http_server(port, addr=host, registry=WorkerRegistry(active, model))
    except OSError as exc:
        log.warning("no metrics: %s port %d can't be used: %s", host, port, exc.strerror)
    else:
        log.info("metrics at http://%s:%d/metrics", host, port)
