"""The benchmark's vLLM process answers whole batches and leaves no processes."""

from pathlib import Path

import psutil
import pytest

from benchmarks import vllm_peer


@pytest.mark.skipif(not vllm_peer.PYTHON.exists(), reason="it looks for vLLM in .venv-vllm")
def test_the_peer_process_sleeps_between_batches_and_leaves_no_processes(
    tiny_llama_folder: Path,
) -> None:
    others = set(psutil.Process().children(recursive=True))
    with vllm_peer.vllm_peer(tiny_llama_folder, slots=4, context=128, max_tokens=8) as peer:
        peer([[1, 5, 6], [1, 7]])
        peer([[1, 8]])
        family = set(psutil.Process().children(recursive=True)) - others
        asleep = [process for process in family if process.status() == psutil.STATUS_STOPPED]

    assert len(asleep) >= 3
    assert psutil.wait_procs(family, timeout=20)[1] == []
