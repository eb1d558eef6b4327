"""What a worker counts for one attempt, and how a scrape shows it."""

import time
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.workers.attempts import make_attempt
from turnstream.turns.log import Append, Entry, Final, Requeued
from turnstream.turns.turn import Claimed
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.histogram import StepHistogram
from turnstream.workers.metrics_port import WorkerRegistry
from turnstream.workers.turn_clock import TurnClock

CLAIMED = make_attempt().claimed
SLICE = Entry("{}", (7,))
DONE = Final(
    status="completed",
    error="null",
    response="",
    text="",
    tokens=30,
    input_tokens=20,
    cached_tokens=12,
)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def part(*entries: Entry, final: Final | Requeued | None = None) -> Append:
    return Append(id="resp_1", attempt=1, first=3, entries=entries, final=final)


def claimed(**fields: object) -> Claimed:
    return replace(CLAIMED, **fields)  # type: ignore[arg-type]


def counts() -> dict[str, float]:
    by_tier = {"tier": "flex"}
    return {
        "queued": value("turnstream_request_queue_time_seconds_count", **by_tier),
        "began": value("turnstream_time_to_first_slice_seconds_count", **by_tier),
        "gaps": value("turnstream_slice_gap_seconds_count"),
        "ended": value("turnstream_e2e_request_latency_seconds_count", **by_tier),
        "completed": value("turnstream_turns_ended_total", status="completed"),
        "prompt": value("turnstream_prompt_tokens_total"),
        "cached": value("turnstream_prompt_tokens_cached_total"),
        "generated": value("turnstream_generation_tokens_total"),
        "preempted": value("turnstream_num_preemptions_total"),
    }


def change(before: dict[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in counts().items() if now != before[name]}


def test_a_whole_turn_is_counted_once() -> None:
    before = counts()

    clock = TurnClock(claimed(tier="flex", attempt=1, waited_seconds=2.0))
    clock.written(part(Entry("{}"), SLICE))
    clock.written(part(SLICE))
    # Only that it goes on.
    clock.written(part(Entry("{}")))
    clock.written(part(SLICE, Entry("{}"), final=DONE))

    assert change(before) == {
        "queued": 1,
        "began": 1,
        "gaps": 2,
        "ended": 1,
        "completed": 1,
        "prompt": 20,
        "cached": 12,
        "generated": 10,
    }


def test_the_wait_in_the_queue_is_part_of_the_time_to_the_first_slice_and_to_the_end() -> None:
    names = ("time_to_first_slice", "e2e_request_latency", "request_queue_time")
    sums = [f"turnstream_{name}_seconds_sum" for name in names]
    before = [value(name, tier="flex") for name in sums]

    begun = time.monotonic()
    TurnClock(claimed(tier="flex", waited_seconds=5.0)).written(part(SLICE, final=DONE))
    spent = time.monotonic() - begun

    for name, earlier in zip(sums, before, strict=True):
        assert 5.0 <= value(name, tier="flex") - earlier <= 5.0 + spent + 1e-6


def test_a_takeover_counts_neither_a_queue_time_nor_a_first_slice_again() -> None:
    before = counts()

    clock = TurnClock(claimed(tier="flex", attempt=2, token_ids=(3, 4)))
    clock.written(part(SLICE, final=DONE))

    assert "queued" not in change(before)
    assert "began" not in change(before)
    assert change(before)["ended"] == 1


def test_a_preempted_turn_is_counted_as_such_and_not_as_ended() -> None:
    before = counts()

    TurnClock(claimed(tier="flex")).written(part(SLICE, final=Requeued()))

    assert change(before) == {"queued": 1, "began": 1, "preempted": 1}


@pytest.mark.parametrize("bounds", [(1, 2, 4), (0.001, 0.5, 10.0)])
def test_a_step_histogram_says_what_one_of_the_library_says(bounds: tuple[float, ...]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = StepHistogram("taken_seconds", "Time.", bounds)
    REGISTRY.unregister(mine)
    ours.register(mine)
    library = Histogram("taken_seconds", "Time.", buckets=bounds, registry=theirs)

    for each in (0.0005, 0.001, 0.4, 2, 2.5, 4, 11.0):
        mine.observe(each)
        library.observe(each)

    def lines(registry: CollectorRegistry) -> list[str]:
        text = generate_latest(registry).decode()
        return [line for line in text.splitlines() if "_created" not in line]

    assert lines(ours) == lines(theirs)


def test_each_metric_of_a_worker_has_its_model_and_those_of_the_process_do_not() -> None:
    text = generate_latest(WorkerRegistry(ActiveTurns(slots=4), 'a "model"')).decode()
    families = list(text_string_to_metric_families(text))
    ours = [family for family in families if family.name.startswith("turnstream_")]

    assert len(ours) > 10
    for family in ours:
        assert {sample.labels["model_name"] for sample in family.samples} <= {'a "model"'}
    [process] = [family for family in families if family.name == "process_cpu_seconds"]
    assert process.samples[0].labels == {}
    [slots] = [family for family in families if family.name == "turnstream_engine_slots"]
    assert slots.samples[0].value == 4
