"""An engine's processes end with the worker, also when it is killed."""

import subprocess
import sys

import psutil

#: Says the PIDs of a process from before and of one that it starts inside, then does as it is told.
WORKER = """
import os, signal, subprocess, sys
from turnstream.workers.engines.orphans import ended_with_us

before = subprocess.Popen(["sleep", "600"])
with ended_with_us() as all_started:
    inside = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    print(before.pid, inside.pid, int(inside.stdout.readline()), flush=True)
    all_started()
    if sys.stdin.readline() == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
"""
TIMEOUT_SECONDS = 20


def run(word: str) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Run a worker to its end; return the processes it started before and inside the context."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        before, *inside = (psutil.Process(int(pid)) for pid in worker.stdout.readline().split())
        worker.stdin.write(f"{word}\n")
        worker.stdin.close()
        worker.wait(TIMEOUT_SECONDS)
    return [before], inside


def test_processes_started_inside_are_killed_after_the_worker() -> None:
    before, inside = run("die")
    try:
        assert psutil.wait_procs(inside, timeout=TIMEOUT_SECONDS)[1] == []
        assert before[0].is_running()
    finally:
        for process in (*before, *inside):
            if process.is_running():
                process.kill()


def test_a_worker_that_exits_normally_ends_its_processes_itself() -> None:
    before, inside = run("leave")
    try:
        assert all(process.is_running() for process in (*before, *inside))
    finally:
        for process in (*before, *inside):
            if process.is_running():
                process.kill()
