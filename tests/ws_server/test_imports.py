"""The front end stays light: what a worker needs is never loaded by it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "heavy", ["torch", "transformers", "turnstream.workers", "sentencepiece", "openai"]
)
def test_importing_the_application_does_not_load(heavy: str) -> None:
    code = (
        "import sys, turnstream.ws_server.app, turnstream.ws_server.serve;"
        f" sys.exit({heavy!r} in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
