"""Set up the environment for vLLM, which reads its settings when it is imported."""

import importlib
import os

from turnstream.workers.engine import CheckpointError

#: vLLM's own settings; values in the worker's environment take precedence.
SETTINGS = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # No usage statistics are sent.
    "VLLM_NO_USAGE_STATS": "1",
    # A worker has threads, so it must not be forked.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Two workers would bind their threads to the same cores and leave others idle.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def prepare() -> None:
    """Prepare the environment and import `vllm`.

    Raises:
        CheckpointError: vLLM is not installed or cannot be imported.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        importlib.import_module("vllm")
    except ModuleNotFoundError as exc:
        raise CheckpointError(f"engine vllm: install the extra turnstream[vllm] ({exc})") from exc
    except Exception as exc:  # its dependencies may have the wrong versions
        raise CheckpointError(f"engine vllm: it cannot be imported: {exc}") from exc
