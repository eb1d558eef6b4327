"""Children are watched, restarted and ended, and nothing of theirs stays."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from turnstream.cli import child, supervisor
from turnstream.cli.child import Command, Ended, Groups, run
from turnstream.cli.supervisor import GiveUp, keep

ROOT = Path(__file__).parents[2]
#: Writes its pid and that of a child of its own, then waits for ever.
PARENT = """\
import os, pathlib, subprocess, sys, time
grandchild = subprocess.Popen(["sleep", "300"])
pathlib.Path("pids.part").write_text(f"{os.getpid()} {grandchild.pid}")
os.rename("pids.part", "pids")
time.sleep(300)
"""


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Groups]:
    with (tmp_path / "lock").open("w") as lock:
        groups = Groups(lock.fileno())
        yield groups
        groups.kill()


def python(code: str, name: str = "child") -> Command:
    return Command(name=name, argv=(sys.executable, "-c", code), environ=os.environ)


async def pids(folder: Path) -> list[psutil.Process]:
    """Wait for `PARENT` to run and give it and its child."""
    async with asyncio.timeout(20):
        while not (folder / "pids").exists():
            await asyncio.sleep(0.02)
    return [psutil.Process(int(pid)) for pid in (folder / "pids").read_text().split()]


def assert_gone(processes: list[psutil.Process]) -> None:
    assert psutil.wait_procs(processes, timeout=20)[1] == []


async def test_a_run_ends_with_the_code_and_last_line_of_its_child(
    groups: Groups, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = await run(python("print('so it goes'); print(); raise SystemExit(7)"), groups)

    assert ended == Ended(7, "so it goes")
    assert "child      | so it goes\n" in capfd.readouterr().err


async def test_a_run_tells_by_which_signal_its_child_died(groups: Groups) -> None:
    ended = await run(python("import os; os.kill(os.getpid(), 9)"), groups)

    assert str(ended) == "killed by SIGKILL"


async def test_a_long_line_and_a_progress_bar_are_shown_in_pieces(
    groups: Groups, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "print('x' * 50_000); print('1%\\r2%\\r3%\\r', end='', flush=True); print('done')"

    ended = await run(python(code), groups)

    assert ended.last_line == "done"
    shown = capfd.readouterr().err
    assert shown.count("x") == 50_000
    assert "1%" not in shown


async def test_cancelling_a_run_ends_its_child_and_grandchild(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running = asyncio.create_task(run(python(PARENT), groups))
    processes = await pids(tmp_path)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert_gone(processes)
    assert groups.pids == set()


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PARENT
    lifeline_end, lifeline = os.pipe()
    guard = subprocess.Popen(
        [sys.executable, child.GUARD, str(lifeline_end), "0.3", sys.executable, "-c", deaf],
        pass_fds=(lifeline_end,),
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        processes = await pids(tmp_path)
        os.close(lifeline)
        guard.wait(timeout=20)
        assert_gone(processes)
    finally:
        child.kill_group(guard.pid)
        guard.wait()
        os.close(lifeline_end)


async def test_a_killed_guard_takes_its_child_along(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running = asyncio.create_task(run(python(PARENT), groups))
    processes = await pids(tmp_path)

    os.kill(next(iter(groups.pids)), signal.SIGKILL)
    async with asyncio.timeout(20):
        ended = await running

    assert str(ended) == "killed by SIGKILL"
    assert_gone(processes)


async def test_a_killed_parent_leaves_neither_guard_nor_child(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
sys.path.insert(0, {str(ROOT)!r})
from turnstream.cli.child import Command, Groups, run
command = Command(name="c", argv=(sys.executable, "-c", {PARENT!r}), environ=os.environ)
asyncio.run(run(command, Groups(os.open("lock", os.O_CREAT))))
"""
    up = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        await pids(tmp_path)
        processes = psutil.Process(up.pid).children(recursive=True)
        assert len(processes) == 3
    finally:
        up.kill()
        up.wait()

    assert_gone(processes)


async def test_a_guard_keeps_the_lock_of_a_killed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = asyncio.create_task(run(python(PARENT), Groups(lock.fileno())))
        await pids(tmp_path)

    with (tmp_path / "lock").open("w") as again:
        with pytest.raises(BlockingIOError):
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_child_that_ends_is_started_again(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    keeping = asyncio.create_task(keep(python("open('runs', 'a').write('.')"), groups))

    async with asyncio.timeout(20):
        while not (tmp_path / "runs").exists() or len((tmp_path / "runs").read_text()) < 3:
            await asyncio.sleep(0.02)

    assert not keeping.done()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_the_delay_before_a_restart_grows(
    groups: Groups, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_DELAY_SECONDS", 0.02)
    keeping = asyncio.create_task(keep(python("raise SystemExit(1)"), groups))

    said = ""
    async with asyncio.timeout(20):
        while said.count("starting it again") < 3:
            await asyncio.sleep(0.02)
            said += capfd.readouterr().err
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping

    assert [line.split()[-2] for line in said.splitlines()][:3] == ["0.01", "0.02", "0.02"]


async def test_a_model_that_fails_to_load_three_times_running_is_given_up(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    code = "open('runs', 'a').write('.'); print('no such folder'); raise SystemExit(3)"

    with pytest.raises(GiveUp, match="no such folder") as caught:
        await keep(python(code, "worker-0"), groups)

    assert caught.value.code == 1
    assert (tmp_path / "runs").read_text() == "..."


async def test_a_wrong_setting_is_given_up_at_once(groups: Groups) -> None:
    code = "print('TURNSTREAM_SLOTS must be a whole number'); raise SystemExit(2)"

    with pytest.raises(GiveUp, match="TURNSTREAM_SLOTS") as caught:
        await keep(python(code), groups)

    assert caught.value.code == 2
