"""The error when vLLM is not installed."""

import sys
from pathlib import Path

import pytest

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import vllm_setup
from turnstream.workers.engines.load import load_engine


def test_missing_vllm_is_an_error_that_names_the_extra(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in vllm_setup.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(CheckpointError, match=r"^engine vllm: install .* turnstream\[vllm\]"):
        load_engine(
            model=str(tiny_llama_folder),
            engine="vllm",
            device="cpu",
            dtype="float32",
            slots=1,
            context=None,
            after_step=lambda: None,
        )
