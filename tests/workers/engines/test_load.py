"""From settings to a running engine."""

import logging
import re
import sys
from pathlib import Path

import pytest
import torch

from harness import tiny_llama
from tests.programs import run
from tests.workers.listener import answer
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError, Engine, Tokenizer
from turnstream.workers.engines.load import load_engine


def test_the_settings_make_a_running_engine(
    tiny_llama_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        loaded = load_engine(
            model=str(tiny_llama_folder),
            device="cpu",
            dtype="float32",
            slots=3,
            context=100,
            after_step=lambda: None,
        )
    engine: Engine = loaded.engine
    tokenizer: Tokenizer = loaded.tokenizer
    try:
        prompt = [tokenizer.bos_id, *tokenizer.encode("Who are you?")]
        ids = answer(engine, prompt, SamplingParams(max_tokens=5, temperature=0))
        assert len(ids) == 5
        assert (loaded.name, engine.capacity, engine.context) == ("tiny", 3, 100)
    finally:
        engine.stop(0)
    before, memory, after = [
        record.getMessage() for record in caplog.records if "model tiny" in record.getMessage()
    ]
    assert re.fullmatch(
        r"loading model tiny: 0\.00 GiB of weights; \d+\.\d GiB are free for it and 3 slots,"
        r" context 100",
        before,
    )
    assert memory == "model tiny: keys and values of 384 tokens may take 0.1 MiB"
    assert after == "model tiny on cpu in float32: 3 slots, context 100"


def test_the_default_context_is_the_models_maximum(tiny_llama_folder: Path) -> None:
    loaded = load_engine(
        model=str(tiny_llama_folder),
        device="cpu",
        dtype="float32",
        slots=1,
        context=None,
        after_step=lambda: None,
    )
    loaded.engine.stop(0)
    assert loaded.engine.context == tiny_llama.CONTEXT


def test_a_model_that_cannot_be_loaded_starts_no_thread() -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load_engine(
            model="./nowhere",
            device="cpu",
            dtype="auto",
            slots=1,
            context=None,
            after_step=lambda: None,
        )


THREADS_OF_A_WORKER = """
import os, threading, torch
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines.load import load_engine

def native() -> int:
    return len(os.listdir("/proc/self/task")) - threading.active_count()

before, done = native(), threading.Event()
engine = load_engine(
    model="demo", device="cpu", dtype="auto", slots=2, context=None,
    after_step=lambda: None,
).engine
answer = SamplingParams(max_tokens=9, temperature=0)
engine.submit([1, 5, 6, 7], answer, lambda ids, finish: finish and done.set())
assert done.wait(60)
threads = torch.get_num_threads()
print(threads, "threads, helpers besides the engine's:", native() - before - (threads - 1))
engine.stop(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_loading_leaves_no_openmp_threads_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In a new process: this one has OpenMP threads already.
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")  # as in a worker
    told = run(sys.executable, "-c", THREADS_OF_A_WORKER)
    assert told == "2 threads, helpers besides the engine's: 0\n"


def test_a_small_model_runs_on_one_thread(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        loaded = load_engine(
            model=str(tiny_llama_folder),
            device="cpu",
            dtype="auto",
            slots=1,
            context=None,
            after_step=lambda: None,
        )
        loaded.engine.stop(0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_progress_goes_up_to_all_of_the_weights(tiny_llama_folder: Path) -> None:
    reported: list[float] = []
    loaded = load_engine(
        model=str(tiny_llama_folder),
        device="cpu",
        dtype="float32",
        slots=1,
        context=100,
        after_step=lambda: None,
        on_progress=reported.append,
    )
    loaded.engine.stop(0)
    assert reported == sorted(reported)
    assert (reported[0], reported[-1]) == (0.0, 1.0)
    assert len(reported) > 10
