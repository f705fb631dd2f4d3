"""Plots the history of the committed runs: one line per figure, as an SVG for light and dark backgrounds."""

from collections.abc import Sequence
from html import escape

from bench.figures import Value
from bench.goals import GOALS, Line
from bench.history import Run
from bench.plot import LABEL, TOP, WIDTH
from bench.plot import STYLE as BARS

ROW = 40
CHART = 26
LEFT = LABEL + 90
RIGHT = WIDTH - 220
STYLE = (
    BARS
    + """
.run { fill: none; stroke: #0969da; stroke-width: 1.5 } .goal { stroke: #afb8c1; stroke-dasharray: 4 3 }
.dot { fill: #0969da } .missed { fill: #cf222e }
@media (prefers-color-scheme: dark) {
  .run { stroke: #4493f8 } .dot { fill: #4493f8 } .missed { fill: #ff7b72 }
}
"""
)


def plot_history(runs: Sequence[Run]) -> str:
    """Return the whole plot: the figures that the last run has, in the order of the goals."""
    lines = [line for line in GOALS if runs[-1].figures.get(line.name) is not None]
    height = TOP + ROW * len(lines) + 12
    span = f"{runs[0].commit} of {runs[0].at[:10]} to {runs[-1].commit} of {runs[-1].at[:10]}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="The figures of every committed run"><style>{STYLE}</style>'
        f'<text class="title" x="16" y="26">{len(runs)} committed runs, {escape(span)}</text>'
        '<text class="note" x="16" y="46">each from 0 to its largest value or goal; dashed: the goal; '
        "red: the last run missed it</text>"
        f"{''.join(_line(line, runs, TOP + ROW * number) for number, line in enumerate(lines))}</svg>\n"
    )


def _line(line: Line, runs: Sequence[Run], top: int) -> str:
    values = [run.figures.get(line.name) for run in runs]
    last, bound = values[-1], line.goal.bound
    largest = max([value for value in values if value is not None] + [bound or 0.0]) or 1.0
    points = [
        (_x(number, len(values)), _y(value, largest, top))
        for number, value in enumerate(values)
        if value is not None
    ]
    goal = _y(bound, largest, top) if bound is not None else None
    middle_y = top + CHART / 2
    kind = "missed" if line.goal.met(last) is False else "dot"
    return "".join(
        [
            f'<text class="label" x="{LEFT - 12}" y="{middle_y:g}">{escape(line.name)}</text>',
            ""
            if goal is None
            else f'<line class="goal" x1="{LEFT}" x2="{RIGHT}" y1="{goal:.1f}" y2="{goal:.1f}"/>',
            f'<polyline class="run" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>',
            "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points[:-1]),
            f'<circle class="{kind}" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3.5"/>',
            f'<text class="value" x="{RIGHT + 14}" y="{middle_y:g}">{last:,g}'
            f'<tspan class="note" dx="10">{escape(str(line.goal))}</tspan></text>',
        ]
    )


def _x(number: int, count: int) -> float:
    return RIGHT if count == 1 else LEFT + (RIGHT - LEFT) * number / (count - 1)


def _y(value: Value, largest: float, top: int) -> float:
    return top + CHART * (1 - (value or 0.0) / largest)
