"""The bulk benchmark at its smallest: every line is answered, and no process is left."""

from pathlib import Path

import psutil
import pytest

from benchmarks import bulk, bulk_memory
from benchmarks.bulk import Run
from benchmarks.bulk_memory import Peak


@pytest.mark.long
def test_a_batch_and_the_engine_alone_generate_the_same_tokens_and_leave_no_process(
    tmp_path: Path,
) -> None:
    others = psutil.Process().children(recursive=True)
    [ours], [theirs] = bulk.throughput(tmp_path, bulk.DEMO, count=12, rounds=1)

    assert ours.tokens == theirs.tokens > 0
    assert psutil.Process().children(recursive=True) == others


@pytest.mark.long
def test_memory_is_measured_while_every_line_is_answered(tmp_path: Path) -> None:
    peak = bulk_memory.measure(tmp_path / "memory", 200)

    assert peak.lines == 200
    assert peak.front_end > 10_000_000
    assert peak.redis > 1_000_000


def test_a_ratio_is_better_when_it_is_higher() -> None:
    small = Peak(lines=10, front_end=60, redis=10, seconds=1)
    large = Peak(lines=1000, front_end=80, redis=40, seconds=9)
    ours = [Run(2.0, 100), Run(1.0, 100), Run(4.0, 100)]
    theirs = [Run(1.0, 100)] * 3
    throughput = bulk.throughput_row("bulk_throughput", ours, theirs, floor=0.9)
    rows = [throughput, *bulk.memory_rows(small, large)]

    assert {row.case: (row.ratio, row.floor) for row in rows} == {
        "bulk_throughput": (0.5, 0.9),
        "bulk_memory_front_end": (0.75, 1 / 1.5),
        "bulk_memory_redis": (0.25, 1 / 1.5),
    }
