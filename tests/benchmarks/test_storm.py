"""The storm benchmark at its smallest, and whether it would see an event that is lost."""

import asyncio
import json
from pathlib import Path

import psutil

from benchmarks import storm
from benchmarks.returners import Returner
from benchmarks.slices import Tally
from benchmarks.storm import MISSED, Outcome, Spent


def test_everybody_comes_back_to_every_slice_and_nothing_is_left_running(tmp_path: Path) -> None:
    others = psutil.Process().children(recursive=True)
    with storm.service(tmp_path) as (server, url):
        outcome = asyncio.run(storm.measure(server, url, sockets=7, rounds=2))

    # Each round brings what is missed and one more in each phase, and the end what is live.
    slices = 2 * (MISSED + 2) + MISSED
    assert outcome.tally == Tally(delivered=7 * slices, lost=0, misplaced=0)
    assert outcome.disordered == 0
    assert psutil.Process().children(recursive=True) == others


async def test_a_hole_in_the_numbers_is_seen() -> None:
    returner = Returner("127.0.0.1:1", asyncio.Semaphore())
    for number in (0, 1):
        returner.frames.append(json.dumps({"sequence_number": number}))
    assert returner.in_order

    returner.frames.append(json.dumps({"sequence_number": 3}))
    assert not returner.in_order


def test_a_ratio_is_the_accepts_over_the_resumes() -> None:
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
