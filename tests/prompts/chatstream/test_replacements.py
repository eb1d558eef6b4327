"""Replacements in a reply that arrives incrementally."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut

few_letters = st.text("ab ", max_size=12)
some_stops = st.lists(st.text("ab ", min_size=1, max_size=4), max_size=3)
some_pairs = st.lists(
    st.tuples(st.text("ab ", min_size=1, max_size=3), st.text("abX", max_size=3)), max_size=3
)


def echo_cut(*, stop: list[str] | None = None, pairs: list[tuple[str, str]]) -> EchoCut:
    return EchoCut(0, exact_len=None, counts=EchoCounts(), stop=stop or [], replacements=pairs)


def slices(cut: EchoCut, parts: list[str]) -> list[str]:
    return [cut.feed(text) for text in accumulate(parts)]


def stopped_text(text: str, stop: list[str]) -> str:
    """Return a text up to its first stop string, by reading it one character at a time."""
    for end in range(len(text) + 1):
        met = [s for s in stop if text[:end].endswith(s)]
        if met:
            return text[: end - max(len(s) for s in met)]
    return text


def test_a_replacement_is_made_across_slices_one_pair_after_the_other() -> None:
    cut = echo_cut(pairs=[("<NL>", "\n"), ("\nST", "-")])

    assert slices(cut, ["there", "<NL>", "ST", "<NL>", "there"]) == [
        "there",
        "",
        "-",
        "",
        "\nthere",
    ]


def test_text_held_for_a_replacement_is_shown_when_a_stop_string_ends_the_reply() -> None:
    cut = echo_cut(stop=["STOP"], pairs=[("\n\n", "|")])

    assert slices(cut, ["there\n", "STOP\n"]) == ["there", "\n"]
    assert cut.finish() == ""


def test_an_empty_string_cannot_be_replaced() -> None:
    with pytest.raises(ValueError, match="empty"):
        echo_cut(pairs=[("", "x")])


@settings(deadline=None, derandomize=True, database=None, max_examples=examples(250, 1000))
@given(parts=st.lists(few_letters, max_size=4), stop=some_stops, pairs=some_pairs)
def test_stop_strings_and_replacements_do_not_depend_on_where_the_text_is_cut(
    parts: list[str], stop: list[str], pairs: list[tuple[str, str]]
) -> None:
    text = "".join(parts).lstrip()
    truth = before = stopped_text(text, stop)
    for old, new in pairs:
        truth = truth.replace(old, new)

    cut = echo_cut(stop=stop, pairs=pairs)
    shown = ""
    for part in slices(cut, parts):
        shown += part
        assert truth.startswith(shown)
    assert cut.stopped is (before != text)
    assert shown + cut.finish() == truth
