"""The dispatch benchmark at its smallest: a real worker answers every path."""

import asyncio
from pathlib import Path

import psutil
import pytest

from benchmarks import dispatch
from benchmarks.report import percentile


@pytest.mark.long
def test_every_path_is_measured_as_often_as_asked_and_no_process_is_left(
    tmp_path: Path,
) -> None:
    others = psutil.Process().children(recursive=True)
    with dispatch.service(tmp_path) as service:
        times = asyncio.run(dispatch.measure(service, tmp_path, turns=3, warm_up=1))

    assert {path: len(taken) for path, taken in times.items()} == {
        "floor": 3,
        "bare_socket": 3,
        "client": 3,
        "socket": 3,
    }
    assert all(seconds > 0 for taken in times.values() for seconds in taken)
    assert psutil.Process().children(recursive=True) == others


def test_a_ratio_is_the_floors_time_divided_by_ours() -> None:
    times = {
        "floor": [0.001, 0.001, 0.002],
        "bare_socket": [0.001, 0.003, 0.006],
        "client": [0.002, 0.002, 0.002],
        "socket": [0.004, 0.004, 0.016],
    }
    ratios = {row.case: (row.ratio, row.floor) for row in dispatch.rows(times)}

    assert ratios == {
        "dispatch_socket_p50": (0.25, None),
        "dispatch_socket_p99": (0.125, None),
        "dispatch_socket_against_bare_p50": (0.75, 0.33),
        "dispatch_client_p50": (0.5, 0.29),
        "dispatch_client_p99": (1.0, None),
    }


@pytest.mark.parametrize(
    ("share", "value"), [(0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1, 100)]
)
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    share: float, value: float
) -> None:
    assert percentile(range(100, 0, -1), share) == value
