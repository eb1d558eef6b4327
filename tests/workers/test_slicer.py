"""The slicer on a small vocabulary: shown, held back and dropped text."""

import pytest

from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer

TOKENS = ["<unk>", "<s>", "</s>", "▁Hello", "▁", "there", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
TOKENS += ["!", "\n", "はい", "<0xE3>", "▁.", "<NL>", "STOP", "ST", "OP"]
ID = {token: id for id, token in enumerate(TOKENS)}
TABLE = ByteTable.from_tokens(TOKENS, control={0, 1, 2})


def ids(*tokens: str) -> list[int]:
    return [ID[token] for token in tokens]


GRIN = ("<0xF0>", "<0x9F>", "<0x98>", "<0x80>")


def test_tokens_become_their_bytes() -> None:
    assert TABLE.join(ids("<s>", "▁Hello", "<0xF0>", "はい", "</s>", "<unk>")) == (
        b" Hello\xf0" + "はい".encode()
    )


def test_a_token_that_only_looks_like_a_raw_byte_is_text() -> None:
    table = ByteTable.from_tokens(["<0xZZ>", "<0x0A>\n", "<0x0a>"], control=())

    assert [table.join([id]) for id in range(3)] == [b"<0xZZ>", b"<0x0A>\n", b"\n"]


def test_an_id_beyond_the_vocabulary_has_no_text() -> None:
    assert TABLE.join([ID["!"], 999, ID["!"]]) == b"!!"


def test_the_space_before_a_reply_is_dropped_once() -> None:
    slicer = Slicer(TABLE)

    slices = [slicer.feed([id]) for id in ids("▁", "\n", "▁Hello", "▁", "▁", "there", "\n", "▁")]

    assert slices == ["", "", "Hello", " ", " ", "there", "\n", " "]
    assert slicer.finish() == ""


@pytest.mark.parametrize("first", ["はい", "!", "there"])
def test_a_reply_without_a_leading_space_is_shown_whole(first: str) -> None:
    assert Slicer(TABLE).feed(ids(first)) == first


def test_a_character_is_shown_with_its_last_byte() -> None:
    slicer = Slicer(TABLE)

    assert [slicer.feed([id]) for id in ids(*GRIN, *GRIN)] == ["", "", "", "😀"] * 2


def test_half_a_character_at_the_end_is_dropped() -> None:
    slicer = Slicer(TABLE)

    assert slicer.feed(ids("there", "<0xF0>", "<0x9F>")) == "there"
    assert slicer.finish() == ""


def test_control_tokens_have_no_text_even_within_a_character() -> None:
    assert Slicer(TABLE).feed(ids("<s>", "<0xF0>", "<0x9F>", "</s>", "<0x98>", "<0x80>")) == "😀"


def test_an_invalid_byte_changes_no_character_beside_it() -> None:
    slicer = Slicer(TABLE)

    assert slicer.feed(ids(*GRIN, "<0x80>", "はい", "<0xE3>", "!")) == "😀\ufffdはい\ufffd!"


def test_an_incomplete_character_becomes_u_fffd_at_the_next_one() -> None:
    slicer = Slicer(TABLE)

    assert [slicer.feed([id]) for id in ids("there", "<0xE3>", "!")] == ["there", "", "\ufffd!"]


def test_spaces_are_not_cleaned_up() -> None:
    assert Slicer(TABLE).feed(ids("there", "▁.", "▁", "▁")) == "there .  "


def test_no_part_of_a_stop_string_is_shown() -> None:
    slicer = Slicer(TABLE, stop=["STOP"])

    assert [slicer.feed([id]) for id in ids("there", "ST", "OP", "there")] == ["there", "", "", ""]
    assert slicer.stopped
    assert slicer.finish() == ""


def test_a_prefix_of_a_stop_string_is_shown_once_it_cannot_become_one() -> None:
    slicer = Slicer(TABLE, stop=["STOP"])

    assert [slicer.feed([id]) for id in ids("ST", "ST", "there", "ST")] == ["", "ST", "STthere", ""]
    assert not slicer.stopped
    assert slicer.finish() == "ST"


def test_the_stop_string_that_is_complete_first_ends_the_text_in_any_grouping() -> None:
    one_by_one, at_once = Slicer(TABLE, stop=["STOP!", "T"]), Slicer(TABLE, stop=["STOP!", "T"])

    shown = "".join([one_by_one.feed([id]) for id in ids("there", "ST", "OP", "!")])

    assert shown == at_once.feed(ids("there", "STOP", "!")) == "thereS"
    assert one_by_one.stopped
    assert at_once.stopped


def test_the_space_before_a_reply_matches_no_stop_string() -> None:
    slicer = Slicer(TABLE, stop=[" ", "\n"])

    assert slicer.feed(ids("▁Hello", "▁", "there")) == "Hello"
    assert slicer.stopped


def test_an_empty_stop_string_stops_nothing() -> None:
    slicer = Slicer(TABLE, stop=[""])

    assert slicer.feed(ids("there")) == "there"
    assert not slicer.stopped


def test_white_space_before_the_text_is_kept_where_a_reply_goes_on() -> None:
    assert Slicer(TABLE, begun=True).feed(ids("▁", "▁Hello")) == "  Hello"
    assert Slicer(TABLE).feed(ids("▁", "▁Hello")) == "Hello"
    stopped = Slicer(TABLE, begun=True, stop=["Hello"])
    assert stopped.feed(ids("▁Hello")) + stopped.finish() == " "
