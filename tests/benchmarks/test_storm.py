"""The storm benchmark at its smallest, and whether it notices a lost event."""

import asyncio
import json
from pathlib import Path

import psutil

from benchmarks import storm
from benchmarks.readers import Tally
from benchmarks.reconnecting import Client
from benchmarks.storm import MISSED, Outcome, Spent


def test_every_client_resumes_with_every_slice_and_no_process_is_left(tmp_path: Path) -> None:
    others = psutil.Process().children(recursive=True)
    with storm.service(tmp_path) as (server, url):
        outcome = asyncio.run(storm.measure(server, url, sockets=7, rounds=2))

    # A round has the missed slices and one more for each of its two crowds; the end has live ones.
    slices = 2 * (MISSED + 2) + MISSED
    assert outcome.tally == Tally(delivered=7 * slices, lost=0, misplaced=0)
    assert outcome.disordered == 0
    assert psutil.Process().children(recursive=True) == others


async def test_a_gap_in_the_numbers_is_noticed() -> None:
    client = Client("127.0.0.1:1", asyncio.Semaphore())
    for number in (0, 1):
        client.frames.append(json.dumps({"sequence_number": number}))
    assert client.in_order

    client.frames.append(json.dumps({"sequence_number": 3}))
    assert not client.in_order


def test_a_ratio_is_the_cost_of_accepts_divided_by_that_of_resumes() -> None:
    outcome = Outcome(
        accepts=Spent(1.0, 0.5) + Spent(1.0, 0.5),
        resumes=Spent(4.0, 2.0),
        sockets=10,
        rounds=2,
        tally=Tally(delivered=1, lost=0, misplaced=0),
        disordered=0,
    )

    assert {row.case: (row.ours, row.ratio, row.floor) for row in storm.rows(outcome)} == {
        "storm_seconds": (2.0, 0.5, 0.5),
        "storm_server_cpu": (1.0, 0.5, None),
    }
