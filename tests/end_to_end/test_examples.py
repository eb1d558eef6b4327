"""What newcomers copy does what the README says it does."""

import subprocess
import sys
from pathlib import Path

from tests.service import ROOT, Service


def test_the_first_turn_prints_its_answer(service: Service, tmp_path: Path) -> None:
    source = (ROOT / "examples" / "first_turn.py").read_text(encoding="utf-8")
    example = tmp_path / "first_turn.py"
    example.write_text(source.replace("http://127.0.0.1:8000", service.url), encoding="utf-8")

    run = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=120, check=False
    )

    assert run.stderr == ""
    assert run.returncode == 0
    assert "Titanic" in run.stdout
