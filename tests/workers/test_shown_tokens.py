"""Tokens travel with the slice that shows their last byte; their bytes are those of the text."""

import json
import random

import pytest

from tests.workers.attempts import STOP, TOKENS, events, make_attempt, taken
from turnstream.turns.shapes import TokenLogprob
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.shown_tokens import ShownTokens, Vocabulary
from turnstream.workers.slicer import Slicer

SOME = TokenLogprobs(-0.5, ((3, -0.5), (2, -2.0)))


def vocabulary(tokens: list[str] = TOKENS) -> Vocabulary:
    return Vocabulary(ByteTable.from_tokens(tokens, {0, 1, 2}), tokens)


def joined(tokens: list[TokenLogprob]) -> str:
    return b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace")


def test_a_token_has_its_text_its_bytes_and_those_of_the_likeliest() -> None:
    shown = ShownTokens(vocabulary())
    shown.feed([3, 4], [SOME, TokenLogprobs(float("-inf"), ((6, -1.0),))])
    first, second = shown.take(len("Hello there"))

    assert (first.token, bytes(first.bytes), first.logprob) == ("Hello", b"Hello", -0.5)
    # A control token has no bytes and is spelled as in the vocabulary.
    assert [(top.token, bytes(top.bytes)) for top in first.top_logprobs] == [
        ("Hello", b"Hello"),
        ("</s>", b""),
    ]
    assert (second.token, bytes(second.bytes)) == (" there", b" there")
    # JSON has no infinity.
    assert second.logprob == -9999
    # Bytes that are no character alone.
    assert [(top.token, bytes(top.bytes)) for top in second.top_logprobs] == [("\ufffd", b"\xf0")]


def test_the_tokens_of_a_character_come_when_its_last_byte_is_shown() -> None:
    shown = ShownTokens(vocabulary())
    shown.feed([3, 6, 7], [SOME] * 3)
    assert joined(shown.take(len("Hello"))) == "Hello"
    shown.feed([8, 9], [SOME] * 2)
    assert joined(shown.take(len("Hello"))) == ""
    assert joined(shown.take(len("Hello\U0001f600"))) == "\U0001f600"


def test_half_a_character_at_the_end_is_left_out() -> None:
    shown = ShownTokens(vocabulary())
    shown.feed([3, 6, 7], [SOME] * 3)
    assert joined(shown.take_last(len("Hello"))) == "Hello"


def test_white_space_before_an_answer_is_no_part_of_its_tokens() -> None:
    tokens = ["", "", "", "▁", "\n", "<0xE3>", "<0x80>", "<0x80>", "▁Hi"]
    shown = ShownTokens(vocabulary(tokens))
    shown.feed([3, 4, 5, 6, 7, 8, 8], [SOME] * 7)
    taken = shown.take(len("Hi Hi"))
    assert [bytes(token.bytes) for token in taken] == [b"", b"", b"", b"", b"", b"Hi", b" Hi"]
    assert [token.token for token in taken[-2:]] == ["Hi", " Hi"]


@pytest.mark.parametrize("seed", range(40))
def test_the_joined_bytes_are_the_text_whatever_the_cuts_and_stop_strings(seed: int) -> None:
    rng = random.Random(seed)
    characters = ["a", "b", "ab", "é", "▁", "▁a", "\n", "日本", "b▁"]
    tokens = ["", "", "", *characters, *(f"<0x{byte:02X}>" for byte in "é日 \u3000".encode())]
    table = vocabulary(tokens)
    ids: list[int] = []
    while len(ids) < 40:
        if rng.random() < 0.3:
            start = rng.choice([12, 14, 17, 18])
            size = {12: 2, 14: 3, 17: 1, 18: 3}[start]
            ids += range(start, start + size)
        else:
            ids.append(rng.randrange(3, 12))
    ids = ids[: rng.randrange(1, 41)]
    slicer = Slicer(table.table, stop=("ba", "日b") if seed % 2 else ())
    shown = ShownTokens(table)
    text, found = "", list[TokenLogprob]()
    while ids:
        size = rng.randrange(1, 4)
        some, ids = ids[:size], ids[size:]
        text += slicer.feed(some)
        shown.feed(some, [SOME] * len(some))
        found += shown.take(len(text))
        assert text.startswith(joined(found))
        assert len(text) - len(joined(found)) < 4
    text += slicer.finish()
    found += shown.take_last(len(text))
    assert b"".join(bytes(token.bytes) for token in found) == text.encode()


def test_a_byte_level_vocabulary_spells_bytes_as_characters() -> None:
    table = ByteTable.from_tokens(["Ġhi", "Ã", "©", "</s>"], {3}, byte_level=True)
    assert table.join([0, 1, 2, 3]) == " hié".encode()


def test_slices_and_the_end_have_the_logprobs_of_their_text() -> None:
    attempt = make_attempt(top_logprobs=2)
    attempt.on_logprobs([SOME])
    attempt.on_step([3], None)
    attempt.on_logprobs([TokenLogprobs(-1.5), TokenLogprobs(-2.5)])
    first = taken(attempt)
    attempt.on_step([4, 6], STOP)
    last = taken(attempt)

    *_, delta = events(first)
    assert [(each["token"], each["logprob"]) for each in delta["logprobs"]] == [("Hello", -0.5)]
    assert first.entries[-1].logprobs == (SOME,)
    delta, done, part, item, end = events(last)
    assert [(each["token"], each["logprob"]) for each in delta["logprobs"]] == [(" there", -1.5)]
    for whole in (
        done["logprobs"],
        part["part"]["logprobs"],
        item["item"]["content"][0]["logprobs"],
        end["response"]["output"][0]["content"][0]["logprobs"],
    ):
        assert [each["logprob"] for each in whole] == [-0.5, -1.5]


def test_another_attempt_goes_on_with_the_logprobs_of_the_log() -> None:
    # The stop string holds text of the last token back, whose id is in the log already.
    first = make_attempt(top_logprobs=0, stop=("!!",))
    first.on_logprobs([TokenLogprobs(-1.0), TokenLogprobs(-2.0), TokenLogprobs(-3.0)])
    first.on_step([3, 4, 5], None)
    logged = taken(first).entries[-1]
    assert [each["logprob"] for each in json.loads(logged.event)["logprobs"]] == [-1.0, -2.0]
    assert logged.token_ids == (3, 4, 5)

    again = make_attempt(
        attempt=2, ids=logged.token_ids, logprobs=logged.logprobs, top_logprobs=0, stop=("!!",)
    )
    again.on_logprobs([TokenLogprobs(-4.0)])
    again.on_step([4], STOP)
    delta, done, *_ = events(taken(again))
    assert [each["logprob"] for each in delta["logprobs"]] == [-3.0, -4.0]
    assert [each["logprob"] for each in done["logprobs"]] == [-1.0, -2.0, -3.0, -4.0]
    assert joined_json(done["logprobs"]) == done["text"] == "Hello there! there"


def joined_json(logprobs: list[dict[str, list[int]]]) -> str:
    return b"".join(bytes(each["bytes"]) for each in logprobs).decode()


def test_a_token_is_cut_where_a_stop_string_cuts_the_text() -> None:
    attempt = make_attempt(top_logprobs=0, stop=("ere!",))
    attempt.on_logprobs([TokenLogprobs(-1.0), TokenLogprobs(-2.0), TokenLogprobs(-3.0)])
    attempt.on_step([3, 4, 5], Finish(FinishReason.LENGTH))
    *_, delta, done, _, _, _ = events(taken(attempt))
    assert [(each["token"], each["logprob"]) for each in delta["logprobs"]] == [
        ("Hello", -1.0),
        (" th", -2.0),
    ]
    assert joined_json(done["logprobs"]) == done["text"] == "Hello th"


def test_stop_strings_count_after_min_tokens() -> None:
    attempt = make_attempt(stop=("!",), min_tokens=3)
    attempt.on_step([3, 5, 4, 5, 4], STOP)
    *_, done, _, _, _ = events(taken(attempt))
    assert done["text"] == "Hello! there"

    again = make_attempt(attempt=2, ids=(3, 5), stop=("!",), min_tokens=3)
    again.on_step([4, 5, 4], STOP)
    *_, done, _, _, _ = events(taken(again))
    assert done["text"] == "Hello! there"


def test_a_turn_that_reports_none_has_none_anywhere() -> None:
    attempt = make_attempt()
    attempt.on_step([3], STOP)
    part = taken(attempt)
    assert all(entry.logprobs == () for entry in part.entries)
    assert all(event.get("logprobs", []) == [] for event in events(part))
