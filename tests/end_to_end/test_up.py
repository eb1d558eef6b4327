"""`turnstream up` restarts what dies and leaves no process behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness.service import ROOT, Service

#: For something to happen on a busy machine, torch's loading included.
PATIENCE_SECONDS = 120.0


def eventually(claim: Callable[[], bool], service: Service) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < deadline, service.logs
        assert service.process.poll() is None, service.logs
        time.sleep(0.1)


def assert_ends(service: Service, family: list[psutil.Process]) -> None:
    service.process.wait(timeout=30)
    assert psutil.wait_procs(family, timeout=30)[1] == []


def test_stdout_carries_the_ready_line_alone(broken_service: Service) -> None:
    assert broken_service.stdout == f"ready {broken_service.url}\n"
    assert broken_service.answers()


@pytest.mark.parametrize("command", ["worker", "serve", "redis"])
def test_a_killed_process_is_restarted(broken_service: Service, command: str) -> None:
    killed, before = broken_service.child(command), len(broken_service.family())

    killed.kill()

    eventually(lambda: killed not in broken_service.family(), broken_service)
    eventually(lambda: len(broken_service.family()) == before, broken_service)
    eventually(lambda: present(broken_service, command), broken_service)
    eventually(broken_service.answers, broken_service)
    assert broken_service.ask("Are you well?")["status"] in ("completed", "incomplete")
    assert "killed by SIGKILL" in broken_service.logs


def present(broken_service: Service, command: str) -> bool:
    try:
        broken_service.child(command)
    except AssertionError:
        return False
    return True


def test_a_second_up_on_the_same_data_is_refused(broken_service: Service) -> None:
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "turnstream",
            "up",
            "--port",
            "0",
            "--data-dir",
            str(broken_service.data_dir),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )

    assert second.returncode == 1
    assert (
        f"already runs on {broken_service.data_dir} (pid {broken_service.process.pid})"
        in second.stderr
    )
    assert broken_service.answers()


# After the tests that need the service alive: this one ends it, and starting another takes long.
def test_ctrl_c_ends_everything(broken_service: Service) -> None:
    family = broken_service.family()
    assert len(family) >= 6

    broken_service.process.send_signal(signal.SIGINT)

    assert_ends(broken_service, family)
    assert broken_service.process.returncode == 0
    assert broken_service.stdout == f"ready {broken_service.url}\n"


def test_a_killed_up_leaves_no_process_behind(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.start()
    try:
        for command in ("redis", "serve", "worker"):
            eventually(partial(present, service, command), service)
        family = service.family()
        assert len(family) >= 6

        service.process.kill()

        assert_ends(service, family)
    finally:
        service.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_anything_is_ready_ends_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    service = Service(tmp_path)
    service.start()
    try:
        eventually(lambda: present(service, "worker"), service)
        family = service.family()

        service.process.send_signal(number)

        assert_ends(service, family)
        assert service.process.returncode == 0
    finally:
        service.stop()


# In three attempts, each of which imports torch; tests/cli/test_supervisor.py counts them without.
@pytest.mark.long
def test_a_model_that_cannot_load_ends_up_with_the_reason(tmp_path: Path) -> None:
    service = Service(tmp_path / "service", model=str(tmp_path / "no-such-model"))
    service.start()
    try:
        service.process.wait(timeout=PATIENCE_SECONDS)
        last = service.logs.splitlines()[-1]

        assert service.process.returncode == 1
        assert last.startswith("turnstream up: worker-0 could not load its model in 3 attempts: ")
        assert "no-such-model" in last
        assert service.stdout == ""
    finally:
        service.stop()
