"""Fixtures of the workers' tests: a tiny Llama, engines over it, and tokenizers."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM, LlamaTokenizer

from harness import sentencepiece_model, tiny_llama
from tests.workers.echo_bench import Bench, bench
from tests.workers.plain_recorder import PlainRecorder
from turnstream.workers.engines.decode_op import DecodeOp, load_decode_op
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.slot_engine import SlotEngine

#: Tests of what comes before a step, whatever computes it: `make test` runs them with one `way`.
ONE_WAY = {"test_calls_of_tools_validate_and_are_read_in_every_format"}

#: Makes a running engine; takes what `SlotEngine` takes, with defaults for all of it.
MakeEngine = Callable[..., SlotEngine]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of `ONE_WAY` with other ways as long."""
    for item in items:
        one_way = isinstance(item, pytest.Function) and item.originalname in ONE_WAY
        if one_way and item.callspec.params.get("way", "torch") != "torch":
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: models this small are not faster on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a Llama of a few thousand parameters and its tokenizer."""
    return tiny_llama.make(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def loaded_llama(tiny_llama_folder: Path) -> LlamaForCausalLM:
    """The tiny Llama as it is loaded; an engine gets a copy, which takes less long than loading."""
    model: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(
        tiny_llama_folder, dtype=torch.float32
    )
    return model.eval()


@pytest.fixture(scope="session")
def reference(tiny_llama_folder: Path) -> LlamaForCausalLM:
    """The tiny Llama in transformers; it has no EOS, like the engines below."""
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(scope="session")
def compiled_op(tmp_path_factory: pytest.TempPathFactory) -> DecodeOp | None:
    """The compiled op; None without g++."""
    return load_decode_op(tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=["compiled", "torch", "as-on-a-gpu"])
def way(request: pytest.FixtureRequest, compiled_op: DecodeOp | None) -> dict[str, Any]:
    """Run a test with each way of computing a step."""
    match request.param:
        case "torch":
            return {}
        case "as-on-a-gpu":
            return {"ahead": True, "recorder": PlainRecorder()}
    if compiled_op is None:
        pytest.skip("g++ is not installed")
    return {"decode_op": compiled_op}


@pytest.fixture(scope="session")
def grammars(tiny_llama_folder: Path) -> Grammars:
    """Compiles grammars for the tiny Llama, whose EOS is 2 in its tokenizer only."""
    tokenizer = LlamaTokenizer.from_pretrained(tiny_llama_folder)
    return Grammars(tokenizer, vocabulary=tiny_llama.VOCABULARY, eos_ids=frozenset({2}))


@pytest.fixture
def make_engine(
    loaded_llama: LlamaForCausalLM, grammars: Grammars, way: dict[str, Any]
) -> Iterator[MakeEngine]:
    """Make engines over the tiny Llama, and stop them when the test ends."""
    engines: list[SlotEngine] = []

    def make(
        *,
        slots: int = 4,
        context: int = tiny_llama.CONTEXT,
        eos_ids: frozenset[int] = frozenset(),
        after_step: Callable[[], None] = lambda: None,
        prompt_tokens: int = 48,
        model: LlamaForCausalLM | None = None,
        **others: Any,
    ) -> SlotEngine:
        engine = SlotEngine(
            deepcopy(loaded_llama) if model is None else model,
            slots=slots,
            context=context,
            eos_ids=eos_ids,
            after_step=after_step,
            prompt_tokens=prompt_tokens,
            **({"grammars": grammars} | way | others),
        )
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.stop(0)


@pytest.fixture(scope="session")
def echo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of Llama 2's kind, as a folder."""
    return sentencepiece_model.train(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def prefixing(echo_folder: Path) -> Bench:
    """A space before each text between control tokens, as with ``legacy=True``."""
    return bench(echo_folder, legacy=True)


@pytest.fixture(scope="session")
def plain(echo_folder: Path) -> Bench:
    """A space before the first text only: transformers 5 by default."""
    return bench(echo_folder, legacy=False)
