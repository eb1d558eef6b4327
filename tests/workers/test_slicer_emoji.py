"""Characters of several byte tokens are shown whole."""

from tests.prompts.chatstream.titanic import titanic
from tests.workers.echo_bench import Bench
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut
from turnstream.workers.slicer import Slicer


def test_streamed_emoji_are_never_u_fffd(prefixing: Bench) -> None:
    reply, built = "😀😁 はい 👩\u200d👧", titanic(2).create_prompt_ids(prefixing.model.encode)
    ids = prefixing.begin(reply)

    # ChatStream: decode everything at each token, drop one U+FFFD, show what is beyond the last.
    shown, before = "", ""
    for n in range(len(ids)):
        text = prefixing.decode(built.ids + ids[: n + 1])[built.echo_len :].removesuffix("\ufffd")
        shown, before = shown + text[len(before) :], text
    assert "\ufffd" in shown

    assert prefixing.ours(titanic(2), reply) == reply


def test_an_invalid_byte_changes_no_emoji_before_it(prefixing: Bench) -> None:
    ids = [*prefixing.begin("😀"), prefixing.model.piece_to_id("<0x80>")]

    assert prefixing.decode(ids) == "\ufffd" * 5
    assert Slicer(prefixing.table).feed(ids) == "😀\ufffd" == prefixing.model.decode(ids)


def test_a_reply_cut_within_an_emoji_ends_before_it(prefixing: Bench) -> None:
    ids, built = (
        prefixing.begin("so 😀😁")[:-1],
        titanic(2).create_prompt_ids(prefixing.model.encode),
    )
    slicer = Slicer(prefixing.table)
    by_text = EchoCut(0, exact_len=built.echo_len, counts=EchoCounts())

    shown = "".join([slicer.feed([id]) for id in ids]) + slicer.finish()
    cut_out = [by_text.feed(prefixing.decode(built.ids + ids[: n + 1])) for n in range(len(ids))]

    assert shown == "so 😀" == "".join(cut_out) + by_text.finish()
