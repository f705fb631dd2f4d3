"""Plots what grows over time beside its bound, as an SVG for light and dark backgrounds."""

from html import escape

import msgspec

from bench.plot import STYLE, TOP, WIDTH

COLUMNS = 2
PANEL_WIDTH, PANEL_HEIGHT = 340, 120
LEFT, GAP, ROW = 64, 70, 196
MORE_STYLE = """
polyline { fill: none; stroke-width: 2; stroke: #0969da } .axis { stroke: #d1d9e0; stroke-width: 1 }
.bound { stroke: #bc4c00; stroke-dasharray: 5 4; stroke-width: 1 } .mark { stroke: #afb8c1; stroke-width: 1 }
.tick { font-size: 10px } .end { text-anchor: end }
@media (prefers-color-scheme: dark) {
  polyline { stroke: #4493f8 } .axis, .mark { stroke: #3d444d } .bound { stroke: #db6d28 }
}
"""


class Curve(msgspec.Struct, kw_only=True):
    """One thing that grows, over time.

    Parameters:
        bound: the greatest value that is allowed.
        by: what bounds it.
        top: the greatest value that is drawn at least, to compare with another curve.
        each: bytes of one of its parts, where that is measured.
        points: seconds and value.
        marks: when something was done, and what.
    """

    title: str
    by: str = ""
    bound: float | None = None
    top: float | None = None
    each: float | None = None
    points: list[tuple[float, float]] = []
    marks: list[tuple[float, str]] = []


class Bounded(msgspec.Struct, kw_only=True):
    """A whole measurement."""

    commit: str
    at: str
    machine: dict[str, object]
    load_average: float
    curves: list[Curve]


def plot_bounded(found: Bounded) -> str:
    """Return the plot: a panel per curve, two beside each other."""
    rows = -(-len(found.curves) // COLUMNS)
    height = TOP + rows * ROW
    panels = "".join(
        _panel(curve, LEFT + number % COLUMNS * (PANEL_WIDTH + GAP), TOP + number // COLUMNS * ROW)
        for number, curve in enumerate(found.curves)
    )
    note = f"{found.commit}, load average {found.load_average}; dashed: the bound, thin: what was done"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="What grows, over time, and what bounds it"><style>{STYLE}{MORE_STYLE}</style>'
        f'<text class="title" x="16" y="26">What grows, and what bounds it</text>'
        f'<text class="note" x="16" y="46">{escape(note)}</text>{panels}</svg>\n'
    )


def _panel(curve: Curve, left: int, top: int) -> str:
    most = max(curve.bound or 0.0, curve.top or 0.0, *(value for _, value in curve.points)) or 1.0
    seconds = curve.points[-1][0] or 1.0
    top, right = top + 34, left + PANEL_WIDTH

    def x(at: float) -> str:
        return f"{left + at / seconds * PANEL_WIDTH:.1f}"

    def y(value: float) -> str:
        return f"{top + PANEL_HEIGHT * (1 - value / most):.1f}"

    parts = [
        f'<text class="panel" x="{left}" y="{top - 20}">{escape(curve.title)}</text>',
        f'<text class="note tick" x="{left}" y="{top - 6}">{escape(curve.by)}</text>',
        f'<polyline class="axis" points="{left},{top} {left},{y(0)} {left + PANEL_WIDTH},{y(0)}"/>',
        f'<text class="note tick end" x="{left - 4}" y="{top + 8}">{_short(most)}</text>',
        f'<text class="note tick end" x="{left - 4}" y="{y(0)}">0</text>',
        f'<text class="note tick end" x="{right}" y="{top - 6}">{seconds:.0f} s</text>',
    ]
    for at, what in curve.marks:
        parts.append(f'<polyline class="mark" points="{x(at)},{top} {x(at)},{y(0)}"/>')
        parts.append(
            f'<text class="note tick" x="{x(at)}" y="{top + PANEL_HEIGHT + 14}">{escape(what)}</text>'
        )
    if curve.bound is not None:
        line = f"{left},{y(curve.bound)} {left + PANEL_WIDTH},{y(curve.bound)}"
        parts.append(f'<polyline class="bound" points="{line}"/>')
    points = " ".join(f"{x(at)},{y(value)}" for at, value in curve.points)
    parts.append(f'<polyline points="{points}"/>')
    return "".join(parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
