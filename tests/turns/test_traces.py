"""The trace of a turn: its spans, whose children they are, and that nothing said is in them."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.environment import SettingError
from turnstream.turns.origin import Origin
from turnstream.turns.otel_traces import OtelTraces
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.traces import AttemptTimes, Outcome, open_traces, traceparent_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT = f"00-{TRACE}-{PARENT}-01"
DONE = Outcome("completed", input_tokens=20, cached_tokens=12, output_tokens=10)


class Recorded:
    """Traces that are kept in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        processor = SimpleSpanProcessor(self._exporter)
        self.traces = OtelTraces(processor, service="turnstream-test", instance="w0")

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


async def test_a_turn_is_one_trace_from_its_client_over_a_takeover(
    recorded: Recorded,
    turn_client: TurnClient,
    make_queue: Callable[..., TurnQueue],
    make_turn: MakeTurn,
) -> None:
    turn = replace(make_turn("my secret question"), origin=Origin(traceparent=CLIENT))
    root = recorded.traces.turn(turn)
    await submitted(
        turn_client, replace(turn, origin=replace(turn.origin, traceparent=root.traceparent))
    )
    root.submitted()
    for attempt, (worker, outcome) in enumerate([("w0", Outcome("requeued")), ("w1", DONE)], 1):
        queue = make_queue(worker)
        claimed = queue.claim(1)
        assert claimed is not None
        recorded.traces.claimed(claimed)
        times = AttemptTimes(claimed=attempt, first_text=attempt + 0.25, ended=attempt + 1)
        recorded.traces.ended(claimed, times, outcome)
        queue.requeue([(claimed.id, claimed.attempt)])
    root.end()

    [node] = recorded.named("chat tiny")
    assert {f"{span.context.trace_id:032x}" for span in recorded.spans() if span.context} == {TRACE}
    assert parent_of(node) == PARENT
    attempts = recorded.named("attempt")
    for span in (*recorded.named("submit"), *recorded.named("wait"), *attempts):
        assert parent_of(span) == id_of(node)
    assert [len(recorded.named(name)) for name in ("submit", "wait", "attempt")] == [1, 1, 2]
    for name in ("prefill", "decode"):
        assert [parent_of(span) for span in recorded.named(name)] == [id_of(a) for a in attempts]
    assert "secret" not in json.dumps([span.to_json() for span in recorded.spans()])


async def test_spans_have_the_names_of_the_conventions(
    recorded: Recorded, turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = replace(make_turn(), origin=Origin(traceparent=CLIENT))
    recorded.traces.turn(turn).end("rate_limit_exceeded")
    await submitted(turn_client, turn)
    claimed = queue.claim(1)
    assert claimed is not None
    recorded.traces.ended(claimed, AttemptTimes(5.0, 5.25, 6.0), DONE)

    [node], [attempt] = recorded.named("chat tiny"), recorded.named("attempt")
    asked, answered = dict(node.attributes or {}), dict(attempt.attributes or {})
    assert asked["gen_ai.operation.name"] == "chat"
    assert asked["gen_ai.request.model"] == "tiny"
    assert asked["gen_ai.response.id"] == answered["gen_ai.response.id"] == turn.id
    assert asked["gen_ai.request.max_tokens"] == 8
    assert asked["error.type"] == "rate_limit_exceeded"
    assert not node.status.is_ok
    assert answered["gen_ai.usage.input_tokens"] == 20
    assert answered["gen_ai.usage.output_tokens"] == 10
    assert answered["gen_ai.response.finish_reasons"] == ("stop",)
    assert answered["turnstream.attempt"] == 1
    [event] = attempt.events
    assert (event.name, event.timestamp) == ("first text", 5_250_000_000)
    assert turn.owner not in (*asked.values(), *answered.values())


async def test_an_attempt_whose_worker_was_lost_is_in_the_trace_from_its_claim_on(
    recorded: Recorded,
    settings: TurnSettings,
    queue: TurnQueue,
    make_turn: MakeTurn,
    redis: Redis,
    redis_url: str,
) -> None:
    turn = replace(make_turn("my secret question"), origin=Origin(traceparent=CLIENT))
    async with open_client(settings, "node-1", recorded.traces) as node:
        await submitted(node, turn)
        claimed = queue.claim(1)
        before = time.time_ns()
        await redis.zadd(keys.leases(), {turn.id: 1})
        # The node finds it too, if it comes first.
        with connect(redis_url) as client:
            finder = TurnQueue(client, settings, model=MODEL, worker="w1", traces=recorded.traces)
            async with asyncio.timeout(20):
                while not recorded.spans():
                    finder.sweep()
                    await asyncio.sleep(0.01)

    assert claimed is not None
    [attempt] = recorded.spans()
    read = dict(attempt.attributes or {})
    assert (attempt.name, parent_of(attempt), attempt.status.is_ok) == ("attempt", PARENT, False)
    assert (read["turnstream.attempt"], read["turnstream.worker"]) == (1, f"{MODEL}/w0")
    assert (read["turnstream.status"], read["error.type"]) == ("lost", "worker_lost")
    assert attempt.start_time is not None
    assert attempt.end_time is not None
    # The claim was before this test went on, and the sweep after; clocks count in milliseconds.
    assert attempt.start_time <= before + 2_000_000
    assert attempt.end_time > before
    assert "secret" not in attempt.to_json()


async def test_what_is_in_no_trace_begins_none_for_its_wait(
    recorded: Recorded, turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    await submitted(turn_client, make_turn())
    claimed = queue.claim(1)
    assert claimed is not None

    recorded.traces.claimed(claimed)

    assert recorded.spans() == ()


@pytest.mark.parametrize(
    ("header", "metadata", "found"),
    [
        (CLIENT, {}, CLIENT),
        (None, {"traceparent": CLIENT}, CLIENT),
        (CLIENT.replace("-01", "-00"), {"traceparent": CLIENT}, CLIENT),
        (CLIENT, {"traceparent": "nonsense"}, CLIENT),
        (None, {}, ""),
        (f"00-{'0' * 32}-{PARENT}-01", {}, ""),
        (f"00-{TRACE}-{'0' * 16}-01", {}, ""),
        (f"01-{TRACE}-{PARENT}-01", {}, ""),
        (CLIENT + "\n", {}, ""),
        (CLIENT.upper(), {}, ""),
    ],
)
def test_the_context_comes_from_the_metadata_or_else_the_header_if_it_is_one(
    header: str | None, metadata: dict[str, str], found: str
) -> None:
    assert traceparent_of(header, metadata) == found


def test_off_it_passes_on_the_client_s_context_and_imports_nothing() -> None:
    code = """
import sys
from dataclasses import replace
from harness.turn import new_turn
from turnstream.turns.origin import Origin
from turnstream.turns.traces import open_traces
turn = replace(new_turn(), origin=Origin(traceparent="x"))
assert open_traces("off", service="a", instance="b").turn(turn).traceparent == "x"
# redis-py imports parts of OpenTelemetry where they are installed.
ours = {"turnstream.turns.otel_traces", "opentelemetry.exporter.otlp.proto.http"}
assert not ours & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_the_extra_the_setting_is_refused_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("turnstream.turns.traces.find_spec", lambda name: None)

    with pytest.raises(SettingError, match=r"TRACES needs OpenTelemetry.*turnstream\[otel\]"):
        TurnSettings.read({"TURNSTREAM_TRACES": "otlp"})
    assert open_traces("off", service="a", instance="b") is open_traces(
        "off", service="", instance=""
    )
