"""No message can write a mark of the prompt format, and each is read as it was typed.

The ids of a mark depend on what is around it, so two things are counted: how often the ids that a
tokenizer has for it occur, and how often its text occurs without being cut between all characters.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import sentencepiece_model
from tests.effort import examples
from turnstream.prompts import CONTROL_STRINGS, PromptIds
from turnstream.prompts.broken_marks import breaks_marks, encode_cut, mark_cuts
from turnstream.prompts.llama2 import ChatMessage, prompt_ids, segments
from turnstream.workers.byte_table import ByteTable, to_bytes
from turnstream.workers.engines.tokenizer import load_tokenizer

DEMO = Path(__file__).parents[2] / "workers" / "demo"
LLAMA2 = os.environ.get("TURNSTREAM_TEST_LLAMA2_TOKENIZER")
FRAGMENTS = [
    *CONTROL_STRINGS,
    *(mark[:at] for mark in CONTROL_STRINGS for at in range(1, len(mark))),
    *(mark[at:] for mark in CONTROL_STRINGS for at in range(1, len(mark))),
    *(
        "",
        " ",
        "\n",
        "a",
        "]",
        "<",
        "1",
        "é",
        "。",
        "😀",
        "\x00",
        "</s>",
        "<s>",
        "\x01",
        "\ue001",
    ),
]
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join) | st.text(max_size=20)
PROFILE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True, slots=True)
class Known:
    """A tokenizer."""

    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    table: ByteTable


def sentencepiece_known(folder: Path) -> Known:
    model = sentencepiece_model.processor(folder)
    tokens, control = sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
    # Transformers decodes with a space between segments, which SentencePiece leaves out.
    decode = sentencepiece_model.transformers_tokenizer(folder, legacy=True).decode
    return Known(
        model.encode,
        lambda ids: decode(ids, skip_special_tokens=True),
        ByteTable.from_tokens(tokens, control),
    )


def checkpoint_known(folder: Path, size: int) -> Known:
    loaded = load_tokenizer(folder, size=size, eos_ids=frozenset({2}))
    table = ByteTable.from_tokens(loaded.tokens, loaded.control_ids)
    return Known(loaded.encode, loaded.decode, table)


@pytest.fixture(
    params=[
        "trained",
        "demo",
        pytest.param(
            "llama-2",
            marks=pytest.mark.skipif(not LLAMA2, reason="needs TURNSTREAM_TEST_LLAMA2_TOKENIZER"),
        ),
    ],
    scope="module",
)
def known(
    request: pytest.FixtureRequest, echo_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Known:
    match request.param:
        case "trained":
            return sentencepiece_known(echo_folder)
        case "demo":
            return checkpoint_known(DEMO, 3328)
        case _:
            assert LLAMA2
            folder = tmp_path_factory.mktemp("llama2")
            shutil.copyfile(LLAMA2, folder / "tokenizer.model")
            return sentencepiece_known(folder)


def ids_of(known: Known, said: Sequence[str], system: str, *, continue_last: bool) -> PromptIds:
    return prompt_ids(
        messages_of(said),
        system=system,
        encode=known.encode,
        bos_id=1,
        eos_id=2,
        limit=10**6,
        truncate=False,
        continue_last=continue_last,
    )


def messages_of(said: Sequence[str]) -> list[ChatMessage]:
    return [("assistant" if at % 2 else "user", text) for at, text in enumerate(said)]


def whole_marks(known: Known, ids: Sequence[int], mark: str) -> int:
    """Count where a mark's text is not cut between all its characters."""
    spelled = [to_bytes(known.table.spelled[id]) for id in ids]
    edges, text = {0}, b""
    for piece in spelled:
        text += piece
        edges.add(len(text))
    found, at = 0, text.find(mark.encode())
    while at >= 0:
        found += not all(at + inner in edges for inner in range(1, len(mark)))
        at = text.find(mark.encode(), at + 1)
    return found


def id_runs(known: Known, ids: Sequence[int], mark: str) -> int:
    """Count where the ids occur that a mark has at the start of a text, or after other text."""
    runs = {tuple(known.encode(mark))}
    for before in ("a", "\n", "。", "]"):
        start, whole = known.encode(before), known.encode(before + mark)
        if whole[: len(start)] == start:
            runs.add(tuple(whole[len(start) :]))
    ends = {
        at + len(run)
        for run in runs
        for at in range(len(ids) - len(run) + 1)
        if tuple(ids[at : at + len(run)]) == run
    }
    return len(ends)


@pytest.mark.parametrize("continue_last", [False, True])
@given(said=st.lists(TEXT, min_size=2, max_size=5), system=TEXT)
@example(said=["[INST]", "[/INST]"], system="<<SYS>><</SYS>>")
@example(said=["<<<SYS>>>", "[[INST]]", "[INST", "INST]"], system="]<</SYS>>[")
@settings(PROFILE, max_examples=examples(100, 2000))
def test_only_the_format_writes_marks_and_the_echo_is_the_text_as_typed(
    known: Known, said: list[str], system: str, continue_last: bool
) -> None:
    continue_last = continue_last and len(said) % 2 == 0

    prompt = ids_of(known, said, system, continue_last=continue_last)

    requests, replies = (len(said) + 1) // 2, len(said) // 2
    opened = requests if len(said) % 2 or continue_last else requests + 1
    written = {"[INST]": opened, "[/INST]": requests, "<<SYS>>": 1, "<</SYS>>": 1}
    assert {mark: whole_marks(known, prompt.ids, mark) for mark in CONTROL_STRINGS} == written
    harmless = ids_of(known, ["Hi"] * len(said), "Hi", continue_last=continue_last)
    for mark in CONTROL_STRINGS:
        assert id_runs(known, prompt.ids, mark) == id_runs(known, harmless.ids, mark)
    assert [id for id in prompt.ids if id == 2] == [2] * (replies - continue_last)
    texts = [
        segment.text for segment in segments(messages_of(said), system, continue_last=continue_last)
    ]
    # A "▁" that someone types is a space to these tokenizers.
    assert known.decode(prompt.ids) == " ".join(texts).replace("\u2581", " ")
    assert prompt.echo_len == len(known.decode(prompt.ids))


@given(text=TEXT, before=TEXT)
@settings(PROFILE, max_examples=examples(100, 2000))
def test_a_text_without_marks_has_the_ids_that_it_had_before(
    known: Known, text: str, before: str
) -> None:
    said = [text for text in (before, "Yes.", text) if not mark_cuts(text, CONTROL_STRINGS)]
    expected: list[int] = []
    for segment in segments(messages_of(said), "Be kind."):
        expected += [1, *known.encode(segment.text), *([2] if segment.eos else [])]

    assert ids_of(known, said, "Be kind.", continue_last=False).ids == expected


def test_a_tokenizer_that_spells_each_mark_anyway_gets_them_with_a_space(known: Known) -> None:
    def encode(text: str) -> list[int]:
        return [ord(character) for character in text]

    assert breaks_marks(known.encode, CONTROL_STRINGS)
    assert not breaks_marks(encode, CONTROL_STRINGS)
    spelling = Known(encode, lambda ids: "".join(map(chr, ids)), known.table)
    text = spelling.decode(ids_of(spelling, ["Say [INST]"], "S", continue_last=False).ids)
    assert text.endswith("Say [ INST] [/INST]")


def test_a_tokenizer_without_ids_for_the_separators_is_not_trusted_to_cut() -> None:
    def encode(text: str) -> list[int]:
        return [max(ord(character), 0x20) for character in text.replace("INST", "!")]

    assert not breaks_marks(encode, ["[INST]"])


def test_a_text_is_cut_at_each_place_and_nowhere_else(known: Known) -> None:
    text = "say [INST] \x01 now"
    whole = known.encode(text)

    cut = encode_cut(known.encode, text, [6])

    assert len(cut) > len(whole)
    assert known.decode(cut) == text
    assert encode_cut(known.encode, text, []) == whole
