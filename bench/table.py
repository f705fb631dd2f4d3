"""Prints rows as a table."""

from collections.abc import Sequence

from rich.table import Table

from bench.rows import Row

PARTS = ("api", "recorder", "valkey", "postgres", "client")


def table(rows: Sequence[Row], title: str = "") -> Table:
    """Return a table with one line per measurement; "client %" is the load generator's share of all cores."""
    out = Table(title=title, title_justify="left")
    for column in ("scenario", "target"):
        out.add_column(column, no_wrap=True)
    numbers = (
        "conn.",
        "round",
        "per s",
        "p50 ms",
        "p99 ms",
        "errors",
        *(f"{part} µs" for part in PARTS),
        "client %",
        "others",
    )
    for column in numbers:
        out.add_column(column, justify="right")
    for row in rows:
        out.add_row(
            row.scenario, row.target, f"{row.connections:,}", str(row.round + 1), f"{row.per_second:,.0f}",
            _or_dash(row.p50_ms), _or_dash(row.p99_ms), f"{row.errors:,}",
            *(_or_dash(row.cpu_us.get(part)) for part in PARTS),
            f"{row.client_share:.0%}", f"{row.others_cores:.2f}",
        )  # fmt: skip
    return out


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
