"""The private Redis's share of the memory."""

from pathlib import Path

import pytest

from turnstream.cli import memory

GIB = 2**30


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that says what the container may use, on a machine with 64 GiB."""
    file = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(file),))
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 2**18)
    return file


@pytest.mark.parametrize(
    ("written", "share"),
    [(None, 16 * GIB), ("max\n", 16 * GIB), (f"{8 * GIB}\n", 2 * GIB), ("1000\n", memory.LEAST)],
)
def test_the_share_is_of_what_the_machine_or_its_container_has(
    limit: Path, written: str | None, share: int
) -> None:
    if written is not None:
        limit.write_text(written)

    assert memory.redis_share() == share
