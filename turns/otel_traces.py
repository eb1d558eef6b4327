"""Traces in OpenTelemetry's terms: one trace for a turn, whatever workers it has.

    chat MODEL                   node: from the request until its reader has the end
        submit                   node: until the turn is in its queue
        wait                     worker: until the first claim
        attempt                  worker: one for each that ended; of one that was lost, its finder
            prefill, decode      worker: until its first text, and from there on

The spans of workers are children of the node's, whose context is in the turn's record. They are
made when an attempt ends, from the times that were noted; of a worker that was killed nobody knows
more than when it began. Attributes are those of the conventions for generative AI. None has what
was said, nor whose turn it is.
"""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from turnstream.turns.traces import TRACEPARENT, AttemptTimes, LostAttempt, Outcome, TurnSpan
from turnstream.turns.turn import Claimed, Request, Turn

PROVIDER = "turnstream"
_PROPAGATOR = TraceContextTextMapPropagator()
#: Of turns that ended by themselves; otherwise the status says it.
_FINISH_REASONS = {"completed": "stop", "incomplete": "length"}

Attributes = Mapping[str, str | int | float | bool | list[str]]


def otlp_traces(*, service: str, instance: str) -> "OtelTraces":
    """Return traces that are sent by OTLP over HTTP, in batches and on a thread of their own."""
    return OtelTraces(BatchSpanProcessor(OTLPSpanExporter()), service=service, instance=instance)


class OtelTraces:
    """Reports turns to a processor of spans."""

    def __init__(self, processor: SpanProcessor, *, service: str, instance: str) -> None:
        resource = Resource.create({"service.name": service, "service.instance.id": instance})
        # The program's end flushes it.
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("turnstream")
        self._instance = instance

    def turn(self, turn: Turn) -> TurnSpan:
        """Begin the report of a turn, in the trace of its client."""
        return _OtelTurn(self._tracer, turn)

    def claimed(self, claimed: Claimed) -> None:
        """Report the wait of a turn that was claimed just now."""
        if claimed.attempt > 1 or not claimed.origin.traceparent:
            return
        now = time.time()
        span = self._tracer.start_span(
            "wait",
            _context(claimed.origin.traceparent),
            start_time=_ns(now - claimed.waited_seconds),
            attributes={"turnstream.tier": claimed.tier},
        )
        span.end(_ns(now))

    def ended(self, claimed: Claimed, times: AttemptTimes, outcome: Outcome) -> None:
        """Report an attempt that ended."""
        attempt = self._tracer.start_span(
            "attempt",
            _context(claimed.origin.traceparent),
            SpanKind.CONSUMER,
            start_time=_ns(times.claimed),
            attributes={
                "gen_ai.operation.name": _operation(claimed.request),
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.response.id": claimed.id,
                "gen_ai.response.finish_reasons": [
                    _FINISH_REASONS.get(outcome.status, outcome.status)
                ],
                "gen_ai.usage.input_tokens": outcome.input_tokens,
                "gen_ai.usage.output_tokens": outcome.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": outcome.cached_tokens,
                "turnstream.attempt": claimed.attempt,
                "turnstream.worker": self._instance,
                "turnstream.status": outcome.status,
            },
        )
        inside = set_span_in_context(attempt)
        first = times.first_text
        self._part("prefill", inside, times.claimed, first or times.ended)
        if first is not None:
            attempt.add_event("first text", timestamp=_ns(first))
            self._part("decode", inside, first, times.ended)
        if outcome.status == "failed":
            attempt.set_status(Status(StatusCode.ERROR))
        attempt.end(_ns(times.ended))

    def lost(self, lost: LostAttempt) -> None:
        """Report an attempt that was found lost just now."""
        now = time.time()
        span = self._tracer.start_span(
            "attempt",
            _context(lost.origin.traceparent),
            SpanKind.CONSUMER,
            start_time=_ns(now - lost.seconds),
            attributes={
                "error.type": "worker_lost",
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.response.id": lost.id,
                "turnstream.attempt": lost.attempt,
                "turnstream.worker": f"{lost.model}/{lost.worker}",
                "turnstream.status": "lost",
            },
        )
        span.set_status(Status(StatusCode.ERROR))
        span.end(_ns(now))

    def _part(self, name: str, inside: Context, begun: float, ended: float) -> None:
        self._tracer.start_span(name, inside, start_time=_ns(begun)).end(_ns(ended))


class _OtelTurn:
    """A turn as its node sees it."""

    def __init__(self, tracer: Tracer, turn: Turn) -> None:
        self._tracer = tracer
        operation = _operation(turn.request)
        self._span = tracer.start_span(
            f"{operation} {turn.model}",
            _context(turn.origin.traceparent),
            SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.request.model": turn.model,
                "gen_ai.response.model": turn.model,
                "gen_ai.response.id": turn.id,
                "turnstream.tier": turn.tier,
                **_sampling(turn.request),
                **({"gen_ai.conversation.id": turn.conversation} if turn.conversation else {}),
            },
        )
        self.traceparent = _traceparent(self._span)
        self._submit: Span | None = tracer.start_span("submit", set_span_in_context(self._span))

    def submitted(self) -> None:
        """Note that the turn is in its queue."""
        if self._submit is not None:
            self._submit.end()
            self._submit = None

    def end(self, error: str | None = None) -> None:
        """Report it."""
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self.submitted()
        self._span.end()


def _operation(request: Request) -> str:
    return "text_completion" if request.raw else "chat"


def _sampling(request: Request) -> Attributes:
    sampling = request.sampling
    said = {
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
    }
    return {name: value for name, value in said.items() if value is not None}


def _context(traceparent: str) -> Context:
    # An empty context, and not the current one: a turn belongs to its client's trace only.
    return _PROPAGATOR.extract({TRACEPARENT: traceparent}, Context())


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
    return carrier.get(TRACEPARENT, "")


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
