"""A slicer on a hand-made vocabulary: what is shown, what waits, what is dropped."""

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


def test_an_id_beyond_the_vocabulary_says_nothing() -> None:
    assert TABLE.join([ID["!"], 999, ID["!"]]) == b"!!"


def test_the_space_before_a_reply_is_dropped_once() -> None:
    slicer = Slicer(TABLE)

    slices = [slicer.feed([id]) for id in ids("▁", "\n", "▁Hello", "▁", "▁", "there", "\n", "▁")]

    assert slices == ["", "", "Hello", " ", " ", "there", "\n", " "]
    assert slicer.finish() == ""


@pytest.mark.parametrize("first", ["はい", "!", "there"])
def test_a_reply_without_a_space_before_it_loses_nothing(first: str) -> None:
    assert Slicer(TABLE).feed(ids(first)) == first


def test_a_character_is_shown_when_its_last_byte_is_there() -> None:
    slicer = Slicer(TABLE)

    assert [slicer.feed([id]) for id in ids(*GRIN, *GRIN)] == ["", "", "", "😀"] * 2


def test_half_a_character_at_the_end_is_dropped() -> None:
    slicer = Slicer(TABLE)

    assert slicer.feed(ids("there", "<0xF0>", "<0x9F>")) == "there"
    assert slicer.finish() == ""


def test_control_tokens_say_nothing_even_within_a_character() -> None:
    assert Slicer(TABLE).feed(ids("<s>", "<0xF0>", "<0x9F>", "</s>", "<0x98>", "<0x80>")) == "😀"


def test_a_stray_byte_harms_no_character_beside_it() -> None:
    slicer = Slicer(TABLE)

    assert slicer.feed(ids(*GRIN, "<0x80>", "はい", "<0xE3>", "!")) == "😀\ufffdはい\ufffd!"


def test_a_character_that_never_ends_is_marked_when_the_next_one_comes() -> None:
    slicer = Slicer(TABLE)

    assert [slicer.feed([id]) for id in ids("there", "<0xE3>", "!")] == ["there", "", "\ufffd!"]


def test_text_is_not_tidied_up() -> None:
    assert Slicer(TABLE).feed(ids("there", "▁.", "▁", "▁")) == "there .  "


def test_a_stop_string_is_never_half_shown() -> None:
    slicer = Slicer(TABLE, stop=["STOP"])

    assert [slicer.feed([id]) for id in ids("there", "ST", "OP", "there")] == ["there", "", "", ""]
    assert slicer.stopped
    assert slicer.finish() == ""


def test_what_only_began_like_a_stop_string_is_shown() -> None:
    slicer = Slicer(TABLE, stop=["STOP"])

    assert [slicer.feed([id]) for id in ids("ST", "ST", "there", "ST")] == ["", "ST", "STthere", ""]
    assert not slicer.stopped
    assert slicer.finish() == "ST"


def test_the_stop_string_that_is_complete_first_ends_the_text_however_it_was_grouped() -> None:
    one_by_one, at_once = Slicer(TABLE, stop=["STOP!", "T"]), Slicer(TABLE, stop=["STOP!", "T"])

    shown = "".join([one_by_one.feed([id]) for id in ids("there", "ST", "OP", "!")])

    assert shown == at_once.feed(ids("there", "STOP", "!")) == "thereS"
    assert one_by_one.stopped
    assert at_once.stopped


def test_the_space_before_a_reply_meets_no_stop_string() -> None:
    slicer = Slicer(TABLE, stop=[" ", "\n"])

    assert slicer.feed(ids("▁Hello", "▁", "there")) == "Hello"
    assert slicer.stopped


def test_an_empty_stop_string_stops_nothing() -> None:
    slicer = Slicer(TABLE, stop=[""])

    assert slicer.feed(ids("there")) == "there"
    assert not slicer.stopped
