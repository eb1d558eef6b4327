"""The engine benchmark at its smallest: every peer answers; a ratio is the median of the rounds."""

import time
from copy import deepcopy
from pathlib import Path

import psutil
import pytest
from transformers import LlamaConfig

from benchmarks import arrivals, batch, engine, whole_service
from benchmarks.arrivals import Arrivals, engine_waits, static_waits
from benchmarks.batch import PromptSource, new_model, our_engines, start_engine
from benchmarks.peer_process import peer
from benchmarks.processes import ProcessFailed

#: SIGSTOP takes effect when each thread of the process is scheduled.
STOP_SECONDS = 10.0
SMALL = LlamaConfig(
    vocab_size=batch.SHAPE.vocab_size,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=2048,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the small shape."""
    folder = tmp_path_factory.mktemp("models") / "small"
    new_model(SMALL).save_pretrained(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("name", ["compiled", "torch", "generate", "continuous"])
def test_every_engine_answers_whole_batches_and_is_suspended_in_between(
    name: str, folder: Path, tmp_path: Path
) -> None:
    if name == "compiled" and name not in our_engines(tmp_path / "cache"):
        pytest.skip("there is no g++ here to compile the decode attention with")
    prompt_source = PromptSource()
    with peer(name, folder, tmp_path / "cache") as one:
        [process] = psutil.Process().children()
        before = process.cpu_times().user
        one(prompt_source.batch(2))
        assert process.cpu_times().user > before
        deadline = time.monotonic() + STOP_SECONDS
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, process.status()
            time.sleep(0.01)
    assert not process.is_running()


@pytest.mark.long
def test_a_peer_that_cannot_load_is_reported_with_the_reason(folder: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessFailed, match="there is no peer called unknown"),
        peer("unknown", folder, tmp_path / "cache"),
    ):
        pass


def test_turns_that_arrive_at_random_times_wait_for_their_first_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "NEW_TOKENS", 20)
    model, prompt_source = new_model(SMALL), PromptSource()
    running = start_engine(deepcopy(model), None)
    coming = Arrivals(prompt_source, count=4, gap=0.001, seed=1)
    assert coming.times == sorted(coming.times)
    assert engine_waits(running, coming) > 0
    assert static_waits(model, coming) > 0
    running.stop(0)


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    taken = {
        "compiled": [1.0, 2.0, 4.0],
        "torch": [2.0, 2.0, 2.0],
        "generate": [3.0, 4.0, 4.0],
        "continuous": [4.0, 8.0, 100.0],
    }
    rows = {row.case: row for row in engine.batch_rows(taken, batch.WEIGHTS_A_TOKEN * 4096.0)}

    assert {case: (row.ratio, row.floor) for case, row in rows.items()} == {
        "cpu_batch_vs_generate": (2.0, 2.0),
        "cpu_batch_vs_generate_no_compiler": (2.0, 1.2),
        "cpu_batch_vs_transformers_cb": (4.0, 2.5),
        "cpu_batch_vs_transformers_cb_no_compiler": (4.0, 1.5),
        "cpu_batch_of_gemm_limit": (0.5, None),
    }


@pytest.mark.long
def test_the_service_returns_every_token_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_service, "SHAPE", SMALL)
    others = psutil.Process().children(recursive=True)
    row = engine.service_row(tmp_path, tmp_path / "cache", rounds=1)

    assert row.ratio > 0
    assert psutil.Process().children(recursive=True) == others
