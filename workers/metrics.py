"""Metrics that a worker counts as things happen; `metrics_port` answers scrapes with them.

A worker has one model, so metrics are declared without it; a scrape adds the label `model_name` to
all of them. Names are vLLM's where they mean the same.
"""

import time
from collections.abc import Callable
from typing import get_args

from prometheus_client import Counter, Histogram

from turnstream.turns.turn import Tier
from turnstream.workers.histogram import StepHistogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)

#: Written by the engine's thread.
ENGINE_STEP = StepHistogram(
    "turnstream_engine_step_seconds",
    "Time of one step of the engine slot, on the host.",
    (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56),
)
ENGINE_BATCH_SIZE = StepHistogram(
    "turnstream_engine_batch_size",
    "Turns that one step of the engine slot computed for.",
    (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)
CONSTRAINT_MASK = StepHistogram(
    "turnstream_constraint_mask_seconds",
    "Time to compute which tokens may come next in one answer with a constraint.",
    (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1),
)
#: Written by the publisher's thread.
SLICE_GAP = StepHistogram(
    "turnstream_slice_gap_seconds",
    "Time between two writes of one answer's text.",
    (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_QUEUE_TIME = Histogram(
    "turnstream_request_queue_time_seconds",
    "Time from a turn's submit to its first claim.",
    ["tier"],
    buckets=_SECONDS,
)
_FIRST_SLICE = Histogram(
    "turnstream_time_to_first_slice_seconds",
    "Time from a turn's submit until its first text was written.",
    ["tier"],
    buckets=_SECONDS,
)
_TURN_TIME = Histogram(
    "turnstream_e2e_request_latency_seconds",
    "Time from a turn's submit until its end was written.",
    ["tier"],
    buckets=_SECONDS,
)
_ENDED = Counter(
    "turnstream_turns_ended_total", "Turns that ended at this worker, by status.", ["status"]
)
_PROMPT_TOKENS = Counter("turnstream_prompt_tokens_total", "Tokens of the prompts of ended turns.")
_CACHED_TOKENS = Counter(
    "turnstream_prompt_tokens_cached_total", "Those of them that the engine had in its cache."
)
_GENERATED_TOKENS = Counter(
    "turnstream_generation_tokens_total", "Tokens of the answers of ended turns."
)
_PREEMPTIONS = Counter(
    "turnstream_num_preemptions_total", "Turns of batches that were put back for others."
)
_CACHE_QUERIES = Counter(
    "turnstream_prefix_cache_queries_total",
    "Tokens that the engine slot looked for in its cache: prompts, and answers that go on.",
)
_CACHE_HITS = Counter("turnstream_prefix_cache_hits_total", "Those of them that it found.")
_REMOTE_FAILURES = Counter(
    "turnstream_remote_failures_total",
    "How often the engine remote stopped using one of its servers.",
)

# So that each series begins at 0: a rate needs two values.
for _tier in get_args(Tier):
    for _of_tier in (_QUEUE_TIME, _FIRST_SLICE, _TURN_TIME):
        _of_tier.labels(_tier)
for _status in ("completed", "incomplete", "cancelled", "failed"):
    _ENDED.labels(_status)


def claimed(tier: str, waited_seconds: float) -> None:
    """Count a turn's first claim."""
    _QUEUE_TIME.labels(tier).observe(waited_seconds)


def began(tier: str, seconds: float) -> None:
    """Count the first text of a turn."""
    _FIRST_SLICE.labels(tier).observe(seconds)


def ended(
    tier: str, status: str, seconds: float, *, prompt: int, cached: int, generated: int
) -> None:
    """Count the end of a turn, and its tokens."""
    _TURN_TIME.labels(tier).observe(seconds)
    _ENDED.labels(status).inc()
    _PROMPT_TOKENS.inc(prompt)
    _CACHED_TOKENS.inc(cached)
    _GENERATED_TOKENS.inc(generated)


def timed_step(step: Callable[[], None]) -> None:
    """Run one step of an engine and count its time."""
    begun = time.perf_counter()
    step()
    ENGINE_STEP.observe(time.perf_counter() - begun)


def preempted() -> None:
    """Count a turn that was put back for another."""
    _PREEMPTIONS.inc()


def prefix_cache(tokens: int, *, hits: int) -> None:
    """Count tokens that an engine looked for in its cache, and those that it found."""
    _CACHE_QUERIES.inc(tokens)
    _CACHE_HITS.inc(hits)


def server_failed() -> None:
    """Count a server that the engine remote does not use any more."""
    _REMOTE_FAILURES.inc()
