"""Plots what the ledger reads as ended sales pile up, and as one sale grows; both axes are logarithmic."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bench.plot import STYLE, TOP, WIDTH

LEFT = 54
PANEL_WIDTH = 210
PANEL_HEIGHT = 230
LABELS = 170
"""For the names of the lines, right of a panel."""
PANEL = PANEL_WIDTH + LABELS + 40
LEGEND_STEP = 16

MORE_STYLE = """
polyline { fill: none; stroke-width: 2 } .flat { stroke: #0969da } .grows { stroke: #bc4c00 }
.axis { stroke: #d1d9e0; stroke-width: 1 } .tick { font-size: 10px } .end { text-anchor: end }
.middle { text-anchor: middle } .link { stroke: #d1d9e0; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  .flat { stroke: #4493f8 } .grows { stroke: #f0883e } .axis, .link { stroke: #3d444d }
}
"""

Line = tuple[str, bool, list[tuple[float, float]]]
"""Name, whether it may grow, points."""

OF_ALL = {
    "a recorder's group of 100": ("a recorder's group",),
    "first page of orders": ("orders, first page",),
    "metrics: units out": ("metrics: units out",),
    "orders of a customer": ("orders of a customer",),
    "sales of a partition": ("rebuild: sales of a partition",),
    "list of sales": ("list of sales",),
    "doors to open": ("doors to open",),
}
OF_ONE = {
    "rebuild": ("rebuild: keys", "rebuild: limits used", "rebuild: live holds"),
    "audit": ("audit: units by rows", "audit: orders"),
    "a recorder's group of 100": ("a recorder's group",),
    "first page of orders": ("orders, first page",),
    "reservations of a customer": ("reservations of a customer",),
    "live holds": ("rebuild: live holds",),
}
GROW = {"rebuild", "audit"}


def plot(found: dict[str, Any]) -> str:
    """Return the plot: pages by the number of ended sales, and by the reservations of one sale."""
    ended = _lines(found["ended_sales"], "ended_sales", OF_ALL)
    sale = _lines(found["one_sale"], "reservations", OF_ONE)
    height = TOP + PANEL_HEIGHT + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Pages that the ledger reads, by ended sales and by reservations">'
        f"<style>{STYLE}{MORE_STYLE}</style>"
        '<text class="title" x="16" y="26">What the ledger reads as it grows</text>'
        '<text class="note" x="16" y="46">pages of 8 KiB that a statement touches, cached or not; '
        "a live sale beside ended sales of 500 reservations, and one sale alone</text>"
        f"{panel('by ended sales', ended, LEFT)}{panel('by reservations of one sale', sale, LEFT + PANEL)}"
        "</svg>\n"
    )


def _lines(steps: Sequence[dict[str, Any]], axis: str, names: Mapping[str, tuple[str, ...]]) -> list[Line]:
    return [
        (
            name,
            name in GROW,
            [
                (max(step[axis], 1), max(1.0, sum(step["statements"][each]["buffers"] for each in parts)))
                for step in steps
            ],
        )
        for name, parts in names.items()
    ]


def panel(title: str, lines: list[Line], left: int) -> str:
    """Return one panel, with the names and the last values of its lines beside it."""
    top, bottom = TOP + 20, TOP + 20 + PANEL_HEIGHT
    xs = sorted({x for _, _, points in lines for x, _ in points})
    most = math.ceil(math.log10(max(y for _, _, points in lines for _, y in points)))
    first, last = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        along = (math.log10(x) - first) / (last - first or 1)
        return left + PANEL_WIDTH * along, bottom - PANEL_HEIGHT * math.log10(y) / most

    parts = [f'<text class="panel" x="{left}" y="{TOP + 8}">{escape(title)}</text>']
    for power in range(most + 1):
        y = place(xs[0], 10**power)[1]
        parts.append(
            f'<polyline class="axis" points="{left},{y:g} {left + PANEL_WIDTH},{y:g}"/>'
            f'<text class="note tick end" x="{left - 4}" y="{y + 4:g}">{10**power:,}</text>'
        )
    for x in xs:
        shown = "0" if x == 1 else f"{x:,.0f}"
        parts.append(
            f'<text class="note tick middle" x="{place(x, 1)[0]:g}" y="{bottom + 15}">{shown}</text>'
        )
    below = float(top - LEGEND_STEP)
    for name, grows, points in sorted(lines, key=lambda line: -line[2][-1][1]):
        end_x, end_y = place(*points[-1])
        below = max(end_y, below + LEGEND_STEP)
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(
            f'<polyline class="{"grows" if grows else "flat"}" points="{places}"/>'
            f'<polyline class="link" points="{end_x + 2:.1f},{end_y:.1f} {end_x + 14:.1f},{below:.1f}"/>'
            f'<text class="note tick" x="{end_x + 17:.1f}" y="{below + 4:.1f}">{escape(name)}: '
            f"{points[-1][1]:,.0f}</text>"
        )
    return "".join(parts)
