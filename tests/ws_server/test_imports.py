"""The front end stays light: what a worker needs is never loaded by it."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Import the application in a new process and return the names of all modules there."""
    code = "import sys, turnstream.ws_server.app, turnstream.ws_server.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "heavy",
    [
        "torch",
        "transformers",
        "turnstream.workers",
        "sentencepiece",
        "openai",
        "turnstream.turns.otel_traces",
    ],
)
def test_importing_the_application_does_not_load(loaded: set[str], heavy: str) -> None:
    assert "turnstream.ws_server.app" in loaded
    assert heavy not in loaded
