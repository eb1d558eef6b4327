"""Children are restarted and ended with all their descendants."""

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
from turnstream.cli.supervisor import GiveUp, keep_running

ROOT = Path(__file__).parents[2]
#: Writes its pid and that of its child, then sleeps.
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
    """Wait until `PARENT` runs; return it and its child."""
    async with asyncio.timeout(20):
        while not (folder / "pids").exists():
            await asyncio.sleep(0.02)
    return [psutil.Process(int(pid)) for pid in (folder / "pids").read_text().split()]


def assert_gone(processes: list[psutil.Process]) -> None:
    assert psutil.wait_procs(processes, timeout=20)[1] == []


async def test_a_run_ends_with_the_code_and_last_line_of_its_child(
    groups: Groups, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = await run(python("print('some text'); print(); raise SystemExit(7)"), groups)

    assert ended == Ended(7, "some text")
    assert "child      | some text\n" in capfd.readouterr().err


async def test_a_run_reports_the_signal_that_killed_its_child(groups: Groups) -> None:
    ended = await run(python("import os; os.kill(os.getpid(), 9)"), groups)

    assert str(ended) == "killed by SIGKILL"


async def test_a_long_line_is_split_and_a_progress_bar_is_shortened(
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


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(
    tmp_path: Path,
) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PARENT
    lifeline_end, lifeline = os.pipe()
    guard = subprocess.Popen(
        [sys.executable, child.GUARD, str(lifeline_end), "0.3", sys.executable, "-c", ignoring],
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


async def test_after_a_guard_was_killed_its_child_is_ended(
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


async def test_after_its_parent_was_killed_guard_and_child_end(tmp_path: Path) -> None:
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


async def test_a_guard_holds_the_lock_after_up_was_killed(
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


async def test_a_child_that_ends_is_restarted(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    supervising = asyncio.create_task(keep_running(python("open('runs', 'a').write('.')"), groups))

    async with asyncio.timeout(20):
        while not (tmp_path / "runs").exists() or len((tmp_path / "runs").read_text()) < 3:
            await asyncio.sleep(0.02)

    assert not supervising.done()
    supervising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervising


async def test_the_delay_before_a_restart_grows(
    groups: Groups, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_DELAY_SECONDS", 0.02)
    supervising = asyncio.create_task(keep_running(python("raise SystemExit(1)"), groups))

    output = ""
    async with asyncio.timeout(20):
        while output.count("restarting it") < 3:
            await asyncio.sleep(0.02)
            output += capfd.readouterr().err
    supervising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervising

    assert [line.split()[-2] for line in output.splitlines()][:3] == ["0.01", "0.02", "0.02"]


async def test_the_supervisor_gives_up_after_three_failures_to_load_a_model(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    code = "open('runs', 'a').write('.'); print('no such folder'); raise SystemExit(3)"

    with pytest.raises(GiveUp, match="no such folder") as caught:
        await keep_running(python(code, "worker-0"), groups)

    assert caught.value.code == 1
    assert (tmp_path / "runs").read_text() == "..."


async def test_the_supervisor_gives_up_at_once_on_an_invalid_setting(groups: Groups) -> None:
    code = "print('TURNSTREAM_SLOTS must be a whole number'); raise SystemExit(2)"

    with pytest.raises(GiveUp, match="TURNSTREAM_SLOTS") as caught:
        await keep_running(python(code), groups)

    assert caught.value.code == 2
