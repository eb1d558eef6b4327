"""What has to be so before vLLM is imported, which reads its own settings then."""

import importlib
import os

from turnstream.workers.engine import CheckpointError

#: vLLM's own settings; whoever starts the worker may say otherwise.
SETTINGS = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # It tells nobody where it is used.
    "VLLM_NO_USAGE_STATS": "1",
    # A process with threads, as a worker is, must not be forked.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Threads that are bound to cores would share them with another worker's while others idle.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def prepare() -> None:
    """Make `vllm` ready to be imported.

    Raises:
        CheckpointError: it is not installed, or not in working order.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        importlib.import_module("vllm")
    except ModuleNotFoundError as exc:
        raise CheckpointError(
            f"engine vllm: install the extra for it, turnstream[vllm] ({exc})"
        ) from exc
    except Exception as exc:  # what it is built on may be of the wrong version
        raise CheckpointError(f"engine vllm: it cannot be imported: {exc}") from exc
