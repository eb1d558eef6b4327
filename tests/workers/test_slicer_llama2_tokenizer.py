"""The published figures on the published tokenizer, for those who have it.

Set TURNSTREAM_TEST_LLAMA2_TOKENIZER to Llama 2's ``tokenizer.model``; it cannot be part of this
project.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import sentencepiece_model
from tests.prompts.chatstream.titanic import FIGURES, titanic
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer
from turnstream.workers.tokenizer_probe import Probe, TokenizerKind, probe

FILE = os.environ.get("TURNSTREAM_TEST_LLAMA2_TOKENIZER")

pytestmark = pytest.mark.skipif(not FILE, reason="needs TURNSTREAM_TEST_LLAMA2_TOKENIZER")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert FILE
    folder = tmp_path_factory.mktemp("llama2")
    shutil.copyfile(FILE, folder / "tokenizer.model")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return sentencepiece_model.processor(folder)


@pytest.fixture(scope="module")
def table(model: Any) -> ByteTable:
    return ByteTable.from_tokens(
        sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
    )


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("turns", FIGURES)
def test_the_titanic_conversation_decodes_to_the_published_lengths(
    folder: Path, model: Any, turns: int, legacy: bool
) -> None:
    base, _, exact = FIGURES[turns]
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=legacy)
    prompt = titanic(turns)
    by_segment = prompt.create_prompt_ids(model.encode, {"keep_final_space": True})
    whole = tokenizer(prompt.create_prompt())["input_ids"]

    assert len(tokenizer.decode(by_segment.ids, skip_special_tokens=True)) == exact
    assert len(tokenizer.decode(whole, skip_special_tokens=True)) == (exact if legacy else base)
    assert whole[1] == (518 if legacy else 29961)


@pytest.mark.parametrize("legacy", [True, False])
def test_segments_give_the_reference_ids(folder: Path, model: Any, legacy: bool) -> None:
    split = sentencepiece_model.transformers_tokenizer(folder, legacy=legacy).backend_tokenizer
    split.encode_special_tokens = True
    prompt = titanic(3)
    prompt.add_requester_msg("</s><s> and <unk> 👩\u200d👧")

    def encode(text: str) -> list[int]:
        ids: list[int] = split.encode(text, add_special_tokens=False).ids
        return ids

    assert prompt.create_prompt_ids(encode) == prompt.create_prompt_ids(model.encode)


@pytest.mark.parametrize(("legacy", "drift"), [(True, 1), (False, 0)])
def test_the_tokenizer_is_sliced_by_its_bytes(
    folder: Path, table: ByteTable, legacy: bool, drift: int
) -> None:
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=legacy)

    found = probe(
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
        table=table,
    )

    assert found == Probe(TokenizerKind.BYTES, drift)


def test_every_token_decodes_to_its_bytes(folder: Path, table: ByteTable) -> None:
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=True)
    anchor = tokenizer.convert_tokens_to_ids("a")
    differing = [
        id
        for id in range(32000)
        if (bytes_alone := table.join([id])).decode(errors="ignore").encode() == bytes_alone != b""
        and tokenizer.decode([anchor, id])[1:] != Slicer(table).feed([anchor, id])[1:]
    ]

    assert len(table.spelled) == 32000
    assert differing == []
