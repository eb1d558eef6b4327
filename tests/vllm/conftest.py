"""vLLM engines over a tiny Llama; without vLLM nothing here is collected.

Starting an engine takes half a minute, so engines with the same settings are reused, two at a time.
Whatever a test waits for, its deadline ends the wait, and the processes that it started.
"""

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaTokenizer

from harness import tiny_llama
from turnstream.workers.engines import vllm_setup
from turnstream.workers.engines.grammars import Grammars

if TYPE_CHECKING:
    from turnstream.workers.engines.vllm_engine import VllmEngine

pytest.register_assert_rewrite("tests.workers.contract", "tests.workers.listener")

#: The smallest head size of vLLM's attention on a CPU.
HEAD_DIM = 32
#: Each engine has two processes with a torch of their own.
MOST_RUNNING = 2
#: The longest that a test's setup, the test itself and its end may take, each by itself.
PHASE_SECONDS = 900.0
#: After this time the deadline ends another wait: the first may have been one of a clean-up.
AGAIN_SECONDS = 60.0


# vLLM is installed by `make test-vllm` only.
collect_ignore_glob = [] if find_spec("vllm") else ["*"]

#: Tests of the contract that vLLM fails, and why.
DIFFERENT = {
    "test_an_answer_is_the_same_when_it_is_resumed_at_any_token": (
        "its draws are seeded, and vLLM's random numbers start again at each submission"
    ),
    "test_a_continued_turn_gets_the_same_tokens_at_any_cut[seeded]": (
        "vLLM's random numbers start again at each submission"
    ),
    "test_a_continued_turn_gets_the_same_tokens_at_any_cut[penalised]": (
        "so they do, and vLLM counts the given answer as prompt"
    ),
}
#: Tests of the contract that do not apply to vLLM, and why.
WITHOUT = {
    "test_a_turn_cancelled_during_prefill_has_no_ids_and_frees_its_slot": (
        "vLLM prefills a short prompt in one step"
    ),
}
#: The same for vLLM's server.
REMOTE_WITHOUT = {
    "test_after_step_follows_every_on_step_of_its_step": (
        "each turn's ids come over a connection of its own, and may come at another moment"
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `DIFFERENT`, `WITHOUT` and `REMOTE_WITHOUT`."""
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        if reason := DIFFERENT.get(item.name):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        without = WITHOUT | (REMOTE_WITHOUT if item.path.stem == "test_remote" else {})
        if reason := without.get(item.name):
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def deadline(what: str) -> Iterator[None]:
    """Fail what takes longer than `PHASE_SECONDS`, at the line where the main thread waits."""

    def end(*_: object) -> None:
        pytest.fail(f"{what} took longer than {PHASE_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, PHASE_SECONDS, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    with deadline(f"the setup of {item.name}"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with deadline(item.name):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    with deadline(f"the end of {item.name}"):
        yield


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a Llama of a few thousand parameters and its tokenizer."""
    return tiny_llama.make(tmp_path_factory.mktemp("models") / "tiny", head_dim=HEAD_DIM)


@pytest.fixture(scope="session")
def reference(tiny_llama_folder: Path) -> LlamaForCausalLM:
    """The tiny Llama in transformers; it has no EOS, like the engines below."""
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


class Engines:
    """The engines last used, by their settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[object, ...], VllmEngine] = {}
        self._after_step: Callable[[], None] = lambda: None

    def make(
        self,
        *,
        slots: int = 4,
        context: int = tiny_llama.CONTEXT,
        eos_ids: frozenset[int] = frozenset(),
        after_step: Callable[[], None] = lambda: None,
        prompt_tokens: int = 0,
    ) -> "VllmEngine":
        """Return a running engine; takes what the other engines' fixture takes.

        Args:
            prompt_tokens: for engines that read a prompt in pieces of a size they are told.
        """
        vllm_setup.prepare()
        from turnstream.workers.engines.vllm_engine import VllmEngine
        from turnstream.workers.engines.vllm_start import engine_args

        self._after_step = after_step
        if slots > 2:
            # A larger number does not change the results of a test.
            slots = 8
        shape = (slots, context, eos_ids)
        engine = self._running.pop(shape, None)
        if engine is None or not engine.healthy():
            while len(self._running) >= MOST_RUNNING:
                self._running.pop(next(iter(self._running))).stop(0)
            engine = VllmEngine(
                engine_args(
                    self._folder,
                    device="cpu",
                    dtype="float32",
                    slots=slots,
                    context=context,
                    kv_bytes=64 * 2**20,
                ),
                vocabulary=tiny_llama.VOCABULARY,
                eos_ids=eos_ids,
                after_step=lambda: self._after_step(),
                grammars=Grammars(
                    LlamaTokenizer.from_pretrained(self._folder),
                    vocabulary=tiny_llama.VOCABULARY,
                    eos_ids=eos_ids,
                ),
            )
        self._running[shape] = engine
        return engine

    def stop(self) -> None:
        """Stop them all."""
        for engine in self._running.values():
            engine.stop(0)


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Run torch on one thread, here and in vLLM: models this small are not faster on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def engines(tiny_llama_folder: Path, one_thread: None) -> Iterator[Engines]:
    """All engines of the session."""
    made = Engines(tiny_llama_folder)
    yield made
    made.stop()


@pytest.fixture
def make_engine(engines: Engines) -> Callable[..., "VllmEngine"]:
    """Start an engine over the tiny Llama, or return one that runs."""
    return engines.make
