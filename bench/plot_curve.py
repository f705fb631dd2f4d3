"""Plots latency and CPU over load, with the pace and without it, as an SVG for light and dark backgrounds."""

from html import escape

import msgspec

from bench.plot import STYLE, TOP, WIDTH

PANEL_WIDTH = 230
PANEL_HEIGHT = 150
GAP = 44
LEFT = 48
TITLE = 30
LEGEND = 40

MORE_STYLE = """
polyline { fill: none; stroke-width: 2 } .line-paced { stroke: #0969da } .line-unpaced { stroke: #afb8c1 }
.axis { stroke: #d1d9e0; stroke-width: 1 } .tick { font-size: 10px } .end { text-anchor: end }
@media (prefers-color-scheme: dark) {
  .line-paced { stroke: #4493f8 } .line-unpaced { stroke: #656c76 } .axis { stroke: #3d444d }
}
"""


class Point(msgspec.Struct, kw_only=True):
    """One load: the share of the capacity that was offered, and what came of it."""

    load: float
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU of API, recorder and both servers per buy."""
    errors: float


class Curve(msgspec.Struct, kw_only=True):
    """A whole measurement."""

    commit: str
    machine: dict[str, object]
    capacity_per_second: float
    seconds: int
    rounds: int
    note: str = ""
    variants: dict[str, list[Point]]


PANELS = (
    ("p50 in ms", "p50_ms", 0.8),
    ("p99 in ms", "p99_ms", 0.8),
    ("CPU of all parts per buy, in µs", "cpu_us", 1.0),
)
"""Title, field, and the load up to which it is drawn: near the capacity a queue may grow without end."""


def plot_curves(found: Curve) -> str:
    """Return the plot: three panels side by side."""
    height = TOP + TITLE + PANEL_HEIGHT + LEGEND
    note = (
        f"durable buys, offered in % of {found.capacity_per_second:,.0f}/s, {found.rounds} rounds of "
        f"{found.seconds} s, {found.commit}{found.note and '; '}{found.note}"
    )
    panels = "".join(
        _panel(found, title, field, most, LEFT + number * (PANEL_WIDTH + GAP))
        for number, (title, field, most) in enumerate(PANELS)
    )
    below = TOP + TITLE + PANEL_HEIGHT + LEGEND - 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Latency and CPU over load, with the pace and without">'
        f"<style>{STYLE}{MORE_STYLE}</style>"
        f'<text class="title" x="16" y="26">Latency and CPU over load: small calls rest, or not</text>'
        f'<text class="note" x="16" y="46">{escape(note)}</text>{panels}'
        f'<polyline class="line-paced" points="{LEFT},{below - 4} {LEFT + 24},{below - 4}"/>'
        f'<text class="note" x="{LEFT + 30}" y="{below}">with the pace</text>'
        f'<polyline class="line-unpaced" points="{LEFT + 140},{below - 4} {LEFT + 164},{below - 4}"/>'
        f'<text class="note" x="{LEFT + 170}" y="{below}">without</text></svg>\n'
    )


def _panel(found: Curve, title: str, field: str, most: float, left: int) -> str:
    top = TOP + TITLE
    drawn = {
        name: [(point.load, float(getattr(point, field))) for point in points if point.load <= most]
        for name, points in found.variants.items()
    }
    largest = max(value for points in drawn.values() for _, value in points)
    parts = [f'<text class="panel" x="{left}" y="{TOP + 12}">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = top + PANEL_HEIGHT * (1 - share)
        parts.append(
            f'<polyline class="axis" points="{left},{y:g} {left + PANEL_WIDTH},{y:g}"/>'
            f'<text class="note tick end" x="{left - 4}" y="{y + 4:g}">{largest * share:,.3g}</text>'
        )
    parts += [
        f'<text class="note tick" x="{left + PANEL_WIDTH * load / 100 - 6:g}" '
        f'y="{top + PANEL_HEIGHT + 14}">{load} %</text>'
        for load in (0, 25, 50, 75, 100)
    ]
    for name, points in drawn.items():
        places = " ".join(
            f"{left + PANEL_WIDTH * load:.1f},{top + PANEL_HEIGHT * (1 - value / largest):.1f}"
            for load, value in points
        )
        parts.append(f'<polyline class="line-{name}" points="{places}"/>')
    return "".join(parts)
