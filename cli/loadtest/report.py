"""The report of a load test: one HTML file with its figures and plots, and nothing from elsewhere.

A plot shows for each time how large a share of all took no longer; p95 is where it crosses 95 %.
"""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from turnstream.cli.loadtest.observed import Tally

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 520, 220, 44, 28
#: Points of a line; more would not be seen.
_POINTS = 300
_COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: CanvasText; background: Canvas; color-scheme: light dark }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr + tr { border-top: 1px solid #8885 }
figure { display: inline-block; margin: 1rem 1rem 0 0 } svg { max-width: 100% }
text { fill: currentColor; font-size: 11px } pre { overflow-x: auto }
"""


def page(figures: dict[str, Any], tallies: Sequence[Tally]) -> str:
    """Return the page; `figures` are what `--json` writes, a run for each tally."""
    runs = figures["runs"]
    names = [f"{run['people_per_minute']:g} a minute" for run in runs]
    good = [[each for each in tally.answers if not each.error] for tally in tallies]
    plots = (
        ("Time to the first slice", [[each.first_slice for each in some] for some in good]),
        ("Gap between slices", [[gap for each in some for gap in each.gaps] for some in good]),
        ("Wait for a worker", [[each.waited for each in some] for some in good]),
        ("Whole answer", [[each.ended for each in some] for some in good]),
    )
    drawn = "".join(_plot(title, names, lines) for title, lines in plots)
    facts = html.escape(json.dumps({k: figures[k] for k in ("load", "target")}, indent=1))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>turnstream loadtest</title>"
        f"<style>{_STYLE}</style><h1>Load test</h1>{_table(runs)}{drawn}<pre>{facts}</pre></html>\n"
    )


def _table(runs: Sequence[dict[str, Any]]) -> str:
    rows = [
        ("people a minute", "people_per_minute"),
        ("people", "people"),
        ("answers", "answers"),
        ("of these read on from a second connection", "reconnected"),
        ("lost or doubled", "damaged"),
        ("errors", "errors"),
        ("tokens/s", "tokens_per_second"),
        ("answers/s that met the target", "goodput_per_second"),
        ("target met", "met_target"),
    ]
    written = [(title, [_cell(run[name]) for run in runs]) for title, name in rows]
    for name in ("first_slice", "gap", "wait", "turn"):
        for share in ("p50", "p95", "p99"):
            title = f"{name.replace('_', ' ')}, {share}, s"
            values = [run[f"{name}_seconds"].get(share) for run in runs]
            written.append((title, [_cell(value) for value in values]))
    body = "".join(
        f"<tr><td>{title}" + "".join(f"<td>{cell}" for cell in cells) for title, cells in written
    )
    return f"<table>{body}</table>"


def _cell(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
        case dict():
            return html.escape(", ".join(f"{n} × {code}" for code, n in value.items())) or "none"
        case None:
            return "–"
    return html.escape(str(value))


def _plot(title: str, names: Sequence[str], lines: Sequence[Iterable[float | None]]) -> str:
    """Draw a line for each run: the share of all that took no longer than so many seconds."""
    ordered = [sorted(value for value in line if value is not None) for line in lines]
    longest = max((line[-1] for line in ordered if line), default=0.0) or 1.0
    drawn = [
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{_y(share)}" y2="{_y(share)}" stroke="#8884"/>'
        f'<text x="4" y="{_y(share) + 4}">{share:.0%}</text>'
        for share in (0, 0.5, 0.95)
    ]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + part * (_WIDTH - _LEFT - 40)
        drawn.append(f'<text x="{x:.0f}" y="{_HEIGHT - 6}">{part * longest:.2g} s</text>')
    for number, (name, values) in enumerate(zip(names, ordered, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{_LEFT + values[at] / longest * (_WIDTH - _LEFT - 40):.1f},"
            f"{_y((at + 1) / len(values))}"
            for at in range(0, len(values), max(1, len(values) // _POINTS))
        )
        drawn.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
        place = 16 + 14 * number
        drawn.append(
            f'<text x="{_WIDTH - 130}" y="{_HEIGHT - 40 - place}" style="fill:{colour}">'
            f"{html.escape(name)}</text>"
        )
    return (
        f"<figure><figcaption>{title}</figcaption>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{title}">{"".join(drawn)}</svg></figure>'
    )


def _y(share: float) -> float:
    return round((_HEIGHT - _BOTTOM) * (1 - share) + 8, 1)
