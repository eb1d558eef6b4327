"""The relay benchmark at its smallest, and whether it notices a lost slice."""

import json
from pathlib import Path

import psutil
import pytest

from benchmarks import relay
from benchmarks.publishers import slice_event
from benchmarks.readers import CHANNELS, TURNS, Tally, tally
from benchmarks.relay import Case, Load, Spent

LOAD = Load(sockets=5, rate=40, seconds=0.1)


@pytest.mark.long
def test_every_slice_arrives_in_order_in_each_case_and_no_process_is_left(tmp_path: Path) -> None:
    others = psutil.Process().children(recursive=True)
    cases = [Case(kind=TURNS, batch=5), Case(kind=TURNS, batch=2), Case(kind=CHANNELS, batch=2)]
    with relay.relays(tmp_path, LOAD.sockets) as relays:
        spent = relay.measure(cases, relays, LOAD, tmp_path, rounds=1)

    whole = Tally(delivered=5 * 4, lost=0, misplaced=0)
    assert {case: taken.tally for case, taken in spent.items()} == dict.fromkeys(cases, whole)
    assert psutil.Process().children(recursive=True) == others


@pytest.mark.parametrize(
    ("numbers", "seen"),
    [
        ([0, 1, 2, 3], Tally(delivered=4, lost=0, misplaced=0)),
        ([0, 2, 3], Tally(delivered=3, lost=1, misplaced=0)),
        ([0, 1, 1, 2, 3], Tally(delivered=4, lost=0, misplaced=1)),
        ([0, 2, 1, 3], Tally(delivered=4, lost=0, misplaced=1)),
        ([], Tally(delivered=0, lost=4, misplaced=0)),
    ],
)
def test_a_lost_repeated_or_late_slice_is_counted(numbers: list[int], seen: Tally) -> None:
    other = json.dumps({"type": "response.output_text.done"})
    frames = [slice_event("resp_1", 7, number) for number in numbers]

    assert tally([other, *frames, other], 4) == seen


def test_every_slice_is_sent_once_to_every_socket_for_each_batch_size() -> None:
    class Sent:
        def __init__(self) -> None:
            self.slices: list[tuple[int, int]] = []

        def begin(self) -> None: ...

        def send(self, sockets: range, number: int) -> None:
            self.slices += [(number, socket) for socket in sockets]

        def end(self) -> None: ...

    for batch in (1, 2, 5, 7):
        sent = Sent()
        relay.send(sent, batch, LOAD)
        assert sent.slices == [(number, socket) for number in range(4) for socket in range(5)]


def test_a_ratio_is_the_peers_cpu_for_a_slice_divided_by_ours() -> None:
    def spent(cpu_seconds: float) -> Spent:
        return Spent(
            cpu_seconds=cpu_seconds, seconds=1, tally=Tally(delivered=100, lost=0, misplaced=0)
        )

    ours_200, ours_16 = relay.OURS
    spread, together = relay.PEERS
    rows = relay.rows(
        {
            ours_200: spent(1.0) + spent(1.0),
            ours_16: spent(2.0),
            spread: spent(4.0),
            together: spent(2.0),
        }
    )

    assert {row.case: (row.ours, row.ratio, row.floor) for row in rows} == {
        "relay_cpu_200_against_8": (1e4, 4.0, 2.0),
        "relay_cpu_16_against_8": (2e4, 2.0, None),
        "relay_cpu_200_against_200": (1e4, 2.0, None),
        "relay_cpu_16_against_200": (2e4, 1.0, None),
    }
