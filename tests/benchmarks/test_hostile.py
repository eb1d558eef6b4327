"""The attacks of the benchmark at their smallest: they tell a bound from none."""

from pathlib import Path

import psutil
import pytest

from benchmarks import hostile
from benchmarks.attacks import burst, heads, held
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
    "attack",
    [
        each
        for each in hostile.ATTACKS
        if each.alone and each.row in "23" and each.unit in ("kB", "MB")
    ],
    ids=lambda each: each.name,
)
def test_what_clients_make_a_node_hold_stays_within_its_promise(
    attack: Attack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "READERS", 40)
    monkeypatch.setattr(held, "SETTLE_SECONDS", 1.0)

    [figure] = hostile.measure(hostile.OURS, [attack], redis_url).values()

    # Small figures are less exact.
    assert attack.most is not None
    assert figure <= attack.most * 1.1


@pytest.mark.long
def test_an_owners_burst_does_not_delay_anothers_first_word(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst, "SOCKETS", 50)
    [attack, *_] = burst.ATTACKS

    assert attack.holds(*hostile.measure(hostile.OURS, [attack], redis_url).values(), None)


def test_a_row_of_ours_alone_has_no_peer() -> None:
    attack = next(each for each in hostile.ATTACKS if each.alone)

    assert f"| 1 | – | ≤ {attack.most:g} |" in hostile.table({attack: 1.0}, {})


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
        ({"most": 2.0}, 2.1, None, False),
    ],
)
def test_a_promise_is_held_up_to_its_bound(
    promise: dict[str, float], ours: float, peer: float | None, holds: bool
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
