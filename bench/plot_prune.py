"""Plots what a prune costs by the size of the sale; both axes are logarithmic."""

from typing import Any

from bench.plot import STYLE, TOP, WIDTH
from bench.plot_long_life import LEFT, MORE_STYLE, PANEL, PANEL_HEIGHT, Line, panel

MILLION = 1_000_000


def plot(found: dict[str, Any]) -> str:
    """Return the plot: in all, and per million rows."""
    height = TOP + PANEL_HEIGHT + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="What a prune costs, in all and per million rows, by the rows of the sale">'
        f"<style>{STYLE}{MORE_STYLE}</style>"
        '<text class="title" x="16" y="26">What a prune costs</text>'
        '<text class="note" x="16" y="46">flashguard prune --yes, by the reservations that it removed; '
        "half of the seconds it rests</text>"
        f"{panel('in all', _lines(found, in_all=True), LEFT)}"
        f"{panel('per million reservations', _lines(found, in_all=False), LEFT + PANEL)}"
        "</svg>\n"
    )


def _lines(found: dict[str, Any], *, in_all: bool) -> list[Line]:
    costs: dict[str, list[tuple[float, float]]] = {"MB of WAL": [], "seconds": [], "seconds of CPU": []}
    for step in found["prunes"]:
        gone = step.get("left_after_kill", step["rows"])
        times = gone / MILLION if in_all else 1.0
        costs["MB of WAL"].append((gone, step["wal_bytes_per_row"] * times))
        costs["seconds"].append((gone, MILLION / step["rows_per_second"] * times))
        costs["seconds of CPU"].append((gone, step["cpu_seconds_per_million"] * times))
    return [(name, in_all, points) for name, points in costs.items()]
