"""How a worker probes its tokenizer at start."""

from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from harness import sentencepiece_model
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engines.slicing import StreamSlicer
from turnstream.workers.tokenizer_probe import Probe, TokenizerKind, TokenizerRefused, probe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sentencepiece_model.train(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    """GPT-2's kind: a space is spelled Ġ, and other bytes are spelled as other letters too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        sentencepiece_model.CORPUS,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False),
    )
    return tokenizer


def vocabulary(tokenizer: Tokenizer) -> ByteTable:
    tokens = [tokenizer.id_to_token(id) or "" for id in range(tokenizer.get_vocab_size())]
    return ByteTable.from_tokens(tokens, control=())


@pytest.mark.parametrize(("legacy", "drift"), [(True, 1), (False, 0)])
def test_llama_tokenizers_differ_in_their_drift(folder: Any, legacy: bool, drift: int) -> None:
    model = sentencepiece_model.processor(folder)
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=legacy)

    found = probe(
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
        table=ByteTable.from_tokens(
            sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
        ),
    )

    assert found == Probe(TokenizerKind.BYTES, drift)
    assert f"(drift {drift})" in str(found)


def test_a_tokenizer_that_reads_no_control_strings_has_a_drift_of_their_length(folder: Any) -> None:
    model = sentencepiece_model.processor(folder)

    found = probe(
        model.encode,
        lambda ids: model.decode(list(ids)),
        table=ByteTable.from_tokens(
            sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
        ),
    )

    assert found == Probe(TokenizerKind.BYTES, 7)
    assert str(found).startswith("bytes of ids; </s> and <s> are not read")


def test_a_byte_level_tokenizer_needs_the_decode_stream(byte_level: Tokenizer) -> None:
    found = probe(
        lambda text: byte_level.encode(text).ids,
        byte_level.decode,
        table=vocabulary(byte_level),
        stream=lambda prompt_ids: StreamSlicer(byte_level, prompt_ids),
    )

    assert found == Probe(TokenizerKind.STREAM, 7)


def test_a_tokenizer_without_an_exact_slicer_is_refused(byte_level: Tokenizer) -> None:
    with pytest.raises(TokenizerRefused, match="cannot be sliced exactly") as refused:
        probe(
            lambda text: byte_level.encode(text).ids,
            byte_level.decode,
            table=vocabulary(byte_level),
        )

    assert "Ġ" in str(refused.value)


def test_a_stream_that_is_not_exact_is_refused_too(byte_level: Tokenizer) -> None:
    def tidied(ids: Sequence[int]) -> str:
        return byte_level.decode(list(ids)).replace(" .", ".")

    with pytest.raises(TokenizerRefused, match=r"expected .* got"):
        probe(
            lambda text: byte_level.encode(text).ids,
            tidied,
            table=vocabulary(byte_level),
            stream=lambda prompt_ids: StreamSlicer(byte_level, prompt_ids),
        )


@pytest.mark.parametrize("text", ["Hello there.", "はい、 195", "😀👩\u200d👧 so", "a\n\n  b\t"])
def test_the_decode_stream_shows_what_the_tokenizer_decodes(
    byte_level: Tokenizer, text: str
) -> None:
    ids = byte_level.encode(f" {text}").ids
    one_by_one, at_once = (StreamSlicer(byte_level, byte_level.encode("a").ids) for _ in range(2))

    slices = [one_by_one.feed([id]) for id in ids]

    assert "".join(slices) + one_by_one.finish() == text
    assert at_once.feed(ids) == text


def test_the_decode_stream_ends_at_a_stop_string(byte_level: Tokenizer) -> None:
    ids = byte_level.encode(" one\ntwo STOP three").ids
    slicer = StreamSlicer(byte_level, [], stop=["STOP"])

    assert "".join([slicer.feed([id]) for id in ids]) == "one\ntwo "
    assert slicer.stopped
    assert slicer.finish() == ""


def test_the_decode_stream_drops_half_a_character_at_the_end(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("so 😀").ids[:-1]
    slicer = StreamSlicer(byte_level, byte_level.encode("a").ids)

    assert slicer.feed(ids) + slicer.finish() == "so "


def test_the_decode_stream_continues_after_invalid_bytes(folder: Any) -> None:
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=False).backend_tokenizer
    stray = tokenizer.token_to_id("<0x80>")
    grin = tokenizer.encode("😀", add_special_tokens=False).ids[1:]
    slicer = StreamSlicer(tokenizer, tokenizer.encode("a", add_special_tokens=False).ids)

    hello = tokenizer.token_to_id("▁Hello")

    assert slicer.feed([*grin, stray, *grin]) == "😀"
    assert slicer.feed([hello]) == " Hello"
    assert slicer.feed([*grin, hello]) == "😀 Hello"
