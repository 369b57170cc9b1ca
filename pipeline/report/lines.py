"""Line charts as SVG files that stand alone, for pages and documents."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from pipeline.report.plots import Axis

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 36, 48
KEY, LETTER = 48, 7.2
"""Width of a line's key beside its name, and of a letter of the name."""
COLOURS = ("#0b62a4", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490")
"""Colours that most colour-blind readers can tell apart. After the last one they repeat, dashed."""

MARKED = 12
"""Lines with up to this many points have a dot at each."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class LineChart:
    """Named lines over one pair of axes; dashed are lines whose name is in `dashed`.

    log: the vertical axis is the decimal logarithm of the values, which have to be positive.
    """

    title: str
    across: str
    up: str
    lines: Mapping[str, Points]
    dashed: frozenset[str] = frozenset()
    log: bool = False

    def svg(self) -> str:
        """Return the drawing. Points that are not finite are left out."""
        shown = {name: self._finite(points) for name, points in self.lines.items()}
        every = [point for points in shown.values() for point in points] or [(0.0, 0.0), (1.0, 1.0)]
        x_axis, y_axis = (_axis([point[i] for point in every]) for i in (0, 1))
        longest = max((len(name) for name in shown), default=0)
        whole = WIDTH + max(0, round(KEY + LETTER * longest) - RIGHT)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {HEIGHT}" width="{whole}"'
            f' height="{HEIGHT}" font-family="sans-serif" font-size="12" role="img">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{whole}" height="{HEIGHT}" fill="#ffffff" class="ground"/>',
            _text(LEFT, 20, self.title, weight="bold"),
            *self._grid(x_axis, y_axis),
        ]
        for number, (name, points) in enumerate(shown.items()):
            colour = f'{{}}="{COLOURS[number % len(COLOURS)]}" class="line{number % len(COLOURS)}"'
            dash = ' stroke-dasharray="5 4"' if name in self.dashed or number >= len(COLOURS) else ""
            path = " ".join(f"{_x(x_axis, x):.1f},{_y(y_axis, y):.1f}" for x, y in points)
            parts.append(
                f'<polyline points="{path}" fill="none" {colour.format("stroke")} stroke-width="2"{dash}/>'
            )
            if len(points) <= MARKED:
                filled = colour.format("fill")
                parts += [
                    f'<circle cx="{_x(x_axis, x):.1f}" cy="{_y(y_axis, y):.1f}" r="4" {filled}/>'
                    for x, y in points
                ]
            y = TOP + 12 + 18 * number
            x = WIDTH - RIGHT + 12
            parts.append(
                f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" {colour.format("stroke")}'
                f' stroke-width="2"{dash}/>'
            )
            parts.append(_text(x + 28, y, name))
        return "\n".join([*parts, "</svg>"]) + "\n"

    def markup(self) -> "Markup":
        """Return the drawing as a part of a page."""
        from markupsafe import Markup

        return Markup(self.svg())  # noqa: S704 - its texts are escaped

    def _finite(self, points: Points) -> list[tuple[float, float]]:
        if self.log:
            points = [(x, math.log10(y)) for x, y in points if y > 0]
        return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]

    def _grid(self, x_axis: Axis, y_axis: Axis) -> list[str]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for tick in y_axis.ticks(5):
            y = _y(y_axis, tick)
            parts.append(
                f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd" class="grid"/>'
            )
            written = f"{10**tick:.2g}" if self.log else f"{tick:g}"
            parts.append(_text(LEFT - 8, y + 4, written, anchor="end"))
        parts += [
            _text(_x(x_axis, tick), bottom + 18, f"{tick:g}", anchor="middle") for tick in x_axis.ticks(6)
        ]
        parts.append(
            f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#333333" class="base"/>'
        )
        parts.append(_text((LEFT + right) / 2, HEIGHT - 10, self.across, anchor="middle"))
        middle = (TOP + bottom) / 2
        parts.append(
            f'<text x="16" y="{middle}" text-anchor="middle" fill="#222222"'
            f' transform="rotate(-90 16 {middle})">{escape(self.up)}</text>'
        )
        return parts


def _axis(values: list[float]) -> Axis:
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.5
    return Axis(low if low == 0 else low - room, high + room)


def _x(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * axis.at(value) / 100


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * axis.at(value) / 100


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="#222222">'
        f"{escape(text)}</text>"
    )
