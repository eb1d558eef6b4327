"""One `up` per data directory, and the default place for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from turnstream.cli.data_dir import DataDirInUse, default_data_dir, locked

ROOT = Path(__file__).parents[2]


def test_a_second_up_reports_the_pid_of_the_first(tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        second = subprocess.run(
            [sys.executable, "-m", "turnstream", "up", "--data-dir", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )

    assert second.returncode == 1
    assert second.stderr == (
        f"turnstream up: turnstream up already runs on {tmp_path / 'data'} (pid {os.getpid()})\n"
    )


def test_a_directory_can_be_locked_again_after_its_owner_has_ended(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_after_its_owner_was_killed_a_directory_is_locked_until_the_last_child_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A child that holds the lock and ends when told; its parent wrote its pid there and is dead.
    with locked(tmp_path) as lock:
        orphan = subprocess.Popen(
            ["sh", "-c", "sleep 1"], pass_fds=(lock,), stdin=subprocess.DEVNULL
        )
        dead = subprocess.Popen(["true"])
        dead.wait()
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(dead.pid).encode(), 0)

    with locked(tmp_path):
        assert orphan.poll() is not None
    assert "waiting for the processes of an earlier turnstream up" in capsys.readouterr().err


def test_a_lock_of_a_running_owner_is_an_error_at_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(DataDirInUse), locked(tmp_path):
        pass


def test_the_default_directory_follows_the_xdg_specification() -> None:
    assert default_data_dir({"XDG_DATA_HOME": "/data"}) == Path("/data/turnstream")
    assert default_data_dir({"XDG_DATA_HOME": "data"}) == default_data_dir({})
    assert default_data_dir({}) == Path.home() / ".local/share/turnstream"
