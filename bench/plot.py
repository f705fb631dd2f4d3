"""Plots throughput and p99 of every scenario against its rivals, as an SVG for light and dark backgrounds."""

import math
from collections.abc import Sequence
from html import escape

from bench.rows import Row, middle, select

WIDTH = 860
LABEL = 170
BAR_WIDTH = 250
VALUE_ROOM = 70
P99_AT = LABEL + BAR_WIDTH + VALUE_ROOM + 30
LINE = 22
BAR = 14
TITLE = 34
TOP = 64

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 } .panel { font-weight: 600 } .note { fill: #59636e }
.ours { fill: #0969da } .rival { fill: #afb8c1 } .label, .value { dominant-baseline: central }
.label { text-anchor: end }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 } .ours { fill: #4493f8 } .rival { fill: #656c76 }
}
"""

Bar = tuple[str, bool, float, float]
"""label, ours, per second, p99 in ms"""


def plot(rows: Sequence[Row], note: str) -> str:
    """Return the whole plot: one panel per scenario and number of connections."""
    parts: list[str] = []
    top = TOP
    for title, bars in panels(rows):
        parts.append(panel(title, bars, top))
        top += TITLE + LINE * len(bars) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        f'aria-label="Throughput and p99 latency per scenario"><style>{STYLE}</style>'
        f'<text class="title" x="16" y="26">FlashGuard beside its rivals, same servers, same run</text>'
        f'<text class="note" x="16" y="46">{escape(note)}</text>'
        f"{''.join(parts)}</svg>\n"
    )


def panels(rows: Sequence[Row]) -> list[tuple[str, list[Bar]]]:
    """Return the panels in order; what was not measured is left out."""
    found: list[tuple[str, list[Bar]]] = []
    for scenario, title in (("buy", "Durable buy of one hot item"), ("hold", "Hold of one hot item")):
        for connections in sorted(
            {row.connections for row in rows if row.scenario == scenario}, reverse=True
        ):
            names = dict.fromkeys(
                row.target for row in rows if (row.scenario, row.connections) == (scenario, connections)
            )
            bars = [
                bar(rows, scenario, name, connections, name, ours=name.startswith("flashguard"))
                for name in names
            ]
            found.append((f"{title}, {connections:,} connections", bars))
    own = []
    for scenario, target in (
        ("hold+confirm", "flashguard"), ("sold-out", "sold-out"),
        ("replay", "flashguard"), ("read", "flashguard"),
    ):  # fmt: skip
        own += [
            bar(rows, scenario, target, connections, f"{scenario}, {connections:,}", ours=True)
            for connections in sorted({row.connections for row in rows if row.scenario == scenario})
        ]
    if own:
        found.append(("FlashGuard's other calls, by connections", own))
    return found


def bar(rows: Sequence[Row], scenario: str, target: str, connections: int, label: str, *, ours: bool) -> Bar:
    measured = select(rows, scenario, target, connections)
    return (
        label, ours,
        middle(row.per_second for row in measured) or 0.0,
        middle(row.p99_ms or 0.0 for row in measured) or 0.0,
    )  # fmt: skip


def panel(title: str, bars: Sequence[Bar], top: int) -> str:
    """Return one panel: requests per second, linear, and p99, logarithmic."""
    fastest = max((per_second for _, _, per_second, _ in bars), default=0.0) or 1.0
    slowest = max((p99 for *_, p99 in bars), default=0.0)
    decades = max(1.0, math.log10(max(slowest, 10.0)))
    lines = [
        f'<text class="panel" x="16" y="{top + 14}">{escape(title)}</text>'
        f'<text class="note" x="{LABEL + BAR_WIDTH}" y="{top + 14}" text-anchor="end">per second</text>'
        f'<text class="note" x="{P99_AT}" y="{top + 14}">p99 in ms, logarithmic</text>'
    ]
    for number, (label, ours, per_second, p99) in enumerate(bars):
        middle_y = top + TITLE + LINE * number
        kind = "ours" if ours else "rival"
        rate_width = per_second / fastest * BAR_WIDTH
        p99_width = max(0.0, math.log10(max(p99, 1.0))) / decades * BAR_WIDTH
        lines.append(f'<text class="label" x="{LABEL - 8}" y="{middle_y}">{escape(label)}</text>')
        lines.append(_bar(LABEL, middle_y, rate_width, kind, f"{per_second:,.0f}"))
        lines.append(_bar(P99_AT, middle_y, p99_width, kind, f"{p99:,.1f}"))
    return "".join(lines)


def _bar(left: float, middle_y: float, width: float, kind: str, value: str) -> str:
    return (
        f'<rect class="{kind}" x="{left}" y="{middle_y - BAR / 2:g}" width="{max(width, 1):.1f}" '
        f'height="{BAR}" rx="2"/>'
        f'<text class="value" x="{left + width + 6:.1f}" y="{middle_y}">{value}</text>'
    )
