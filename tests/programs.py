"""Runs programs of clients as a person would: in processes of their own, that know of no test."""

import os
import subprocess
from pathlib import Path

from harness.service import ROOT

#: An import of a large client on a busy machine, and a few turns.
PROGRAM_SECONDS = 120.0


def example(name: str, folder: Path, url: str) -> Path:
    """Copy an example into a folder, for a service that runs elsewhere than it says."""
    source = (ROOT / "examples" / name).read_text(encoding="utf-8")
    host = url.partition("://")[2]
    copy = folder / name
    copy.write_text(source.replace("127.0.0.1:8000", host), encoding="utf-8")
    return copy


def link_modules(folder: Path, node_modules: Path) -> None:
    """Let Node find its packages from a folder."""
    (folder / "node_modules").symlink_to(node_modules, target_is_directory=True)


def run(*command: str | Path, url: str = "") -> str:
    """Run a program to its end and give what it printed.

    Args:
        url: where the official clients that are told nothing else find the service.

    Raises:
        AssertionError: it failed, or had anything to complain of.
    """
    theirs = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "any"} if url else {}
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | theirs,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stdout
    return done.stdout
