"""The metrics of a running service: a turn shows at its node and at its worker."""

import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from harness.service import Service

#: Labels that are allowed; none has a value for each owner, turn or request.
LABELS = {
    *("model_name", "tier", "code", "reason", "transport", "source", "cause", "status", "result"),
    "le",
}

COUNTED_SECONDS = 60


def scraped(url: str) -> dict[str, float]:
    """Return the sum of each sample of ours by name, and check how it is named."""
    sums: dict[str, float] = {}
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("turnstream_"):
            continue
        assert family.documentation.endswith(".")
        assert family.type != "counter" or f"{family.name}_total" in text
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, sample
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def test_a_turn_is_counted_by_its_worker(service: Service) -> None:
    worker = f"http://127.0.0.1:{service.worker_metrics_port}"
    before = scraped(worker)
    usage = service.ask("Say something.")["usage"]
    deadline = time.monotonic() + COUNTED_SECONDS

    def more(name: str) -> float:
        return after[f"turnstream_{name}"] - before[f"turnstream_{name}"]

    # A turn is counted after its end was written, which the client may read first.
    while True:
        after = scraped(worker)
        if more("generation_tokens_total") > 0 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert more("prompt_tokens_total") >= usage["input_tokens"]
    assert more("generation_tokens_total") >= usage["output_tokens"]
    for name in (
        "request_queue_time_seconds_count",
        "time_to_first_slice_seconds_count",
        "e2e_request_latency_seconds_count",
        "engine_step_seconds_count",
        "engine_batch_size_count",
        "prefix_cache_queries_total",
        "redis_round_trip_seconds_count",
    ):
        assert more(name) > 0, name
    assert after["turnstream_engine_slots"] == 8


def test_a_node_reports_the_worker_and_that_redis_can_be_written(service: Service) -> None:
    found = scraped(service.url)

    assert found["turnstream_workers"] == 1
    assert found["turnstream_slots"] == 8
    assert found["turnstream_redis_writable"] == 1
    assert found["turnstream_num_requests_waiting"] == 0
