"""The recording of a terminal: what is visible when, and the picture of the README."""

from xml.etree import ElementTree

from harness.service import ROOT
from harness.terminal import Screen
from scripts.chat_recording import OUT
from scripts.terminal_svg import REST_SECONDS, Recording

SVG = "{http://www.w3.org/2000/svg}"
#: A picture of a README is loaded by everybody who looks at it.
MOST_BYTES = 60_000


def test_a_line_is_visible_until_another_takes_its_place() -> None:
    screen = Screen(rows=2, columns=10)
    recording = Recording(rows=2, columns=10)
    for second, text in ((0.0, "\r\x1b[1mone"), (1.0, "\r\x1b[36mtwo"), (2.0, "\r\n\x1b[0m<a>")):
        screen.feed(text)
        recording.add(second, screen)
    root = ElementTree.fromstring(recording.svg("a & b"))
    style = root.findtext(f"{SVG}style") or ""
    texts = {
        text.text: (group.get("class"), text.get("class"))
        for group in root.iter(f"{SVG}g")
        for text in group.findall(f"{SVG}text")
    }

    assert root.findtext(f"{SVG}title") == "a & b"
    assert texts.keys() == {"one", "two", "<a>"}
    assert (texts["one"][1], texts["two"][1], texts["<a>"][1]) == ("b", "c36 b", None)
    end = f"{100 * 1 / (2 + REST_SECONDS):.2f}%{{visibility:hidden}}"
    assert f"@keyframes {texts['one'][0]}{{0%{{visibility:visible}}{end}}}" in style
    # What the last picture has is visible without motion too.
    assert f".{texts['one'][0]}{{visibility:hidden;" in style
    assert f".{texts['two'][0]}{{visibility:hidden;" not in style


def test_the_picture_of_the_readme_is_small_and_runs_nothing() -> None:
    root = ElementTree.parse(OUT).getroot()

    assert OUT.is_relative_to(ROOT / "docs")
    assert OUT.stat().st_size <= MOST_BYTES
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "circle", "g", "text"),
    }
    assert "url(" not in (root.findtext(f"{SVG}style") or "")
