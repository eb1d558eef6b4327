"""The attacks of the benchmark at their smallest: they tell a bound from none."""

from pathlib import Path

import psutil
import pytest

from benchmarks import hostile
from benchmarks.attacks import heads
from benchmarks.attacks.attack import Attack


def attack(name: str) -> Attack:
    return next(each for each in hostile.ATTACKS if each.name.startswith(name))


def test_an_attack_grows_the_peer_and_not_ours(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "MUCH", 1024 * 1024)
    others = psutil.Process().children(recursive=True)
    headers = [attack("endless small headers")]
    ours = hostile.measure(hostile.OURS, headers, redis_url)
    peer = hostile.measure(hostile.PEER, headers, redis_url)

    assert hostile.table(ours, peer).count("broken") == 0
    assert hostile.table(peer, peer).count("broken") == 1
    assert psutil.Process().children(recursive=True) == others


@pytest.mark.parametrize(
    ("promise", "ours", "peer", "holds"),
    [
        ({"most": 2.0}, 2.0, 1.0, True),
        ({"most": 2.0}, 2.1, 9.0, False),
        ({"most_of_peer": 1.2}, 1.2, 1.0, True),
        ({"most_of_peer": 1.2}, 1.3, 1.0, False),
        ({"least_of_peer": 0.75}, 75.0, 100.0, True),
        ({"least_of_peer": 0.75}, 74.0, 100.0, False),
        ({}, 9.0, 1.0, True),
    ],
)
def test_a_promise_is_held_up_to_its_bound(
    promise: dict[str, float], ours: float, peer: float, holds: bool
) -> None:
    async def run(target: object) -> float:
        return ours

    row = Attack(row="0", name="x", unit="s", run=run, **promise)  # type: ignore[arg-type]

    assert row.holds(ours, peer) is holds


def test_the_page_keeps_a_row_of_each_attack() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")

    assert [
        each.name for each in hostile.ATTACKS if f"| {each.name}, {each.unit} |" not in page
    ] == []
    assert "broken" not in page
