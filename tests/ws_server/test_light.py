"""The front end stays light: what a worker needs is never loaded by it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["torch", "transformers", "workers", "sentencepiece", "openai"])
def test_importing_the_application_does_not_load(heavy: str) -> None:
    code = f"import sys, ws_server.app, ws_server.serve; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
