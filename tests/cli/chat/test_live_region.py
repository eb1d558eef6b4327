"""The live region: what the screen shows, and that nothing is written twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.terminal import Screen
from turnstream.cli.chat.live_region import LiveRegion


def new_region(screen: Screen) -> LiveRegion:
    """Return a region on a screen; a terminal begins a line at its left."""
    return LiveRegion(lambda text: screen.feed(text.replace("\n", "\r\n")), lambda: screen.rows)


LINES = st.lists(st.text("abc", max_size=9), max_size=6)


@given(st.lists(st.tuples(LINES, LINES), max_size=8))
def test_the_screen_shows_what_is_final_and_then_what_is_live(
    updates: list[tuple[list[str], list[str]]],
) -> None:
    screen = Screen(rows=30, columns=10)
    region = new_region(screen)
    final: list[str] = []
    live: list[str] = []
    for lines, live in updates:
        region.update(lines, live)
        final += lines

    shown = [*screen.scrolled, *screen.lines]
    assert shown[: len(final + live)] == final + live
    assert not any(shown[len(final + live) :])


def test_a_line_that_grows_writes_that_line_only() -> None:
    written: list[str] = []
    region = LiveRegion(written.append, lambda: 30)
    region.update([], ["one", "two", "three"])
    region.update([], ["one", "two", "three more"])

    assert "three more" in written[-1]
    assert "two" not in written[-1]


@pytest.mark.parametrize("rows", [3, 5])
def test_lines_that_have_left_the_screen_are_not_written_again(rows: int) -> None:
    screen = Screen(rows=rows, columns=10)
    region = new_region(screen)
    for count in range(1, 12):
        region.update([], [f"line {number}" for number in range(count)])
    region.update([f"line {number}" for number in range(11)], [])

    assert [*screen.scrolled, *screen.lines][:11] == [f"line {number}" for number in range(11)]
