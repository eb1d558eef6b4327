"""Draws the loss curve as an SVG."""

import math
from collections.abc import Sequence
from pathlib import Path

from scripts.demo_model.training import Point

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 28, 40


def draw_curve(curve: Sequence[Point], file: Path) -> None:
    """Draw loss over steps, the loss on a logarithmic axis."""
    last = curve[-1].step
    low = math.floor(math.log10(min(point.loss for point in curve)))
    high = math.ceil(math.log10(max(point.loss for point in curve)))

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    def y(loss: float) -> float:
        share = (math.log10(loss) - low) / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#444">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="16">Loss on answer tokens (nats, logarithmic) by step</text>',
    ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    for tick in range(5):
        step = last * tick // 4
        lines.append(
            f'<text x="{x(step):.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{step:,}</text>'
        )
    points = " ".join(f"{x(point.step):.1f},{y(point.loss):.1f}" for point in curve)
    lines += [
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>',
        "</svg>",
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
