"""The attacks on memory at their smallest: they stay within what is promised."""

from pathlib import Path

import pytest

from benchmarks import hostile_bytes
from benchmarks.hostile_bytes import ROWS


@pytest.mark.parametrize("row", [row for row in ROWS if row.unit != "ms"], ids=lambda row: row.name)
def test_an_attack_stays_within_its_promise(
    row: hostile_bytes.Row, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostile_bytes, "READERS", 40)
    monkeypatch.setattr(hostile_bytes, "SETTLE_SECONDS", 1.0)

    # Small figures are less exact.
    assert row.run(tmp_path, redis_url) <= row.most * 1.1
