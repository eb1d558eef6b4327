"""Draws what a terminal showed as an SVG that plays, without a script in it.

Each piece of text is drawn once, with the time in which it is visible. Where motion is not wanted,
the picture is the last one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from harness.terminal import PLAIN, Cell, Screen, Style

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 19, 14
PADDING, BAR = 18, 36
#: How long the last picture stays before it begins again.
REST_SECONDS = 5.0
#: Pictures in a second, at most.
FRAMES = 6
BACKGROUND, FRAME, TEXT = "#0f1419", "#2a313a", "#d6dbe1"
COLOURS = {
    "": TEXT,
    "33": "#e6b450",
    "36": "#5cc9d9",
    "90": "#7d8793",
}
DOTS = ("#ff5f57", "#febc2e", "#28c840")
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells of one style; a cursor is a run without text."""

    row: int
    column: int
    text: str
    style: Style


Picture = frozenset[Run]


class Recording:
    """The pictures of a terminal, each with the second from which it is seen."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.pictures: list[tuple[float, Picture]] = []

    def add(self, second: float, screen: Screen) -> None:
        """Add what a screen shows."""
        second = round(second * FRAMES) / FRAMES
        if self.pictures and self.pictures[-1][0] == second:
            self.pictures.pop()
        runs = {run for row, cells in enumerate(screen.cells) for run in runs_of(row, cells)}
        if screen.cursor_shown:
            runs.add(Run(screen.row, screen.column, "", PLAIN))
        self.pictures.append((second, frozenset(runs)))

    def svg(self, title: str) -> str:
        """Return the recording as an SVG."""
        length = self.pictures[-1][0] + REST_SECONDS
        width = round(self.columns * CELL_WIDTH + 2 * PADDING)
        height = self.rows * CELL_HEIGHT + BAR + PADDING
        shown = sorted(self._visible(length), key=lambda each: (each[1], each[2], each[0].row))
        spans = list(dict.fromkeys((begin, end) for _, begin, end in shown))
        names = {span: f"k{number}" for number, span in enumerate(spans)}
        style = "".join(
            _animation(names[span], *span, length) for span in spans if span != (0, length)
        )
        body = "".join(
            f'<g class="{names[span]}">{"".join(_draw(run) for run, *_ in group)}</g>'
            for span, group in groupby(shown, key=lambda each: (each[1], each[2]))
        )
        dots = "".join(
            f'<circle cx="{20 + 18 * number}" cy="18" r="5.5" fill="{colour}"/>'
            for number, colour in enumerate(DOTS)
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title><style>"
            f"text{{font:{FONT_SIZE}px {_FONT};white-space:pre;fill:{TEXT}}}"
            f".b{{font-weight:700}}.i{{font-style:italic}}"
            + "".join(f".c{code}{{fill:{colour}}}" for code, colour in COLOURS.items() if code)
            + style
            + "@media(prefers-reduced-motion:reduce){g{animation:none!important}}</style>"
            f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10" '
            f'fill="{BACKGROUND}" stroke="{FRAME}"/>{dots}'
            f'<text x="{width / 2:g}" y="23" text-anchor="middle" class="c90">'
            f"turnstream chat</text>"
            f'<g transform="translate({PADDING} {BAR})">{body}</g></svg>\n'
        )

    def _visible(self, length: float) -> Iterator[tuple[Run, float, float]]:
        """Yield each run with the seconds in which it is visible."""
        begun: dict[Run, float] = {}
        for second, picture in [*self.pictures, (length, frozenset[Run]())]:
            for run in begun.keys() - picture:
                yield run, begun.pop(run), second
            for run in picture - begun.keys():
                begun[run] = second


def runs_of(row: int, cells: Sequence[Cell]) -> Iterator[Run]:
    """Yield the runs of a row, without spaces at their ends."""
    column = 0
    for style, group in groupby(cells, key=lambda cell: cell[1]):
        text = "".join(char or "" for char, _ in group)
        count = len(text)
        if text.strip():
            yield Run(row, column + count - len(text.lstrip()), text.strip(), style)
        column += count


def _draw(run: Run) -> str:
    x, y = round(run.column * CELL_WIDTH, 1), run.row * CELL_HEIGHT
    if not run.text:
        return f'<rect x="{x:g}" y="{y + 2}" width="8" height="16" fill="{TEXT}" opacity=".7"/>'
    if run.style.background or run.style.colour not in COLOURS:
        raise ValueError(f"no colour for {run}")
    names = [f"c{run.style.colour}"] if run.style.colour else []
    names += ["b"] * run.style.bold + ["i"] * run.style.italic
    cls = f' class="{" ".join(names)}"' if names else ""
    length = round(len(run.text) * CELL_WIDTH, 1)
    return (
        f'<text x="{x:g}" y="{y + 15}" textLength="{length:g}"{cls}>'
        f"{escape(run.text, quote=False)}</text>"
    )


def _animation(name: str, begin: float, end: float, length: float) -> str:
    percent = [f"{100 * second / length:.2f}".rstrip("0").rstrip(".") for second in (begin, end)]
    last = end >= length
    frames = "" if begin == 0 else "0%{visibility:hidden}"
    frames += f"{percent[0]}%{{visibility:visible}}"
    frames += "" if last else f"{percent[1]}%{{visibility:hidden}}"
    # Without motion, what the last picture has is visible.
    base = "" if last else "visibility:hidden;"
    rule = f".{name}{{{base}animation:{name} {length:g}s step-end infinite}}"
    return f"{rule}@keyframes {name}{{{frames}}}"
