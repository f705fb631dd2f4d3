"""The results: one target's rounds, as JSON, and the table of several as Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tests.campaign.targets.verdict import Figures


class Measured(Struct, frozen=True, kw_only=True):
    """All rounds of one target with one plan."""

    target: str
    """The adapter's name."""
    about: dict[str, Any]
    plan: dict[str, Any]
    rounds: tuple[Figures, ...]

    def total(self, name: str) -> int:
        return sum(getattr(figures, name) for figures in self.rounds)

    def middle(self, name: str) -> float:
        middle: float = statistics.median(getattr(figures, name) for figures in self.rounds)
        return middle


COLUMNS = ("sold", "oversold", "undersold", "doubled", "orphaned", "lost", "errors")


def table(measured: Sequence[Measured]) -> list[str]:
    """Return the lines of the table. Units and orders are sums over the rounds, times their medians."""
    lines = [
        f"| shop | version | buyers | units | {' | '.join(COLUMNS)} | p50 ms | p99 ms | linearizable |",
        f"|---|---|--:|--:|{'--:|' * len(COLUMNS)}--:|--:|---|",
    ]
    for each in measured:
        rounds = len(each.rounds)
        counts = " | ".join(f"{each.total(name):,}" for name in COLUMNS)
        times = f"{each.middle('p50_ms'):,.0f} | {each.middle('p99_ms'):,.0f}"
        lines.append(
            f"| {each.about['name']} | {each.about['version']} | {_times(rounds, each.plan['buyers'])} | "
            f"{_times(rounds, each.plan['units'])} | {counts} | {times} | {_verdicts(each.rounds)} |"
        )
    return lines


def _times(rounds: int, number: int) -> str:
    return f"{number:,}" if rounds == 1 else f"{rounds} × {number:,}"


def _verdicts(rounds: Sequence[Figures]) -> str:
    yes, no = (
        sum(figures.linearizable == word for figures in rounds)
        for word in ("linearizable", "not linearizable")
    )
    parts = [f"{yes} yes" if yes else "", f"{no} no" if no else ""]
    rest = len(rounds) - yes - no
    return ", ".join(part for part in (*parts, f"{rest} undecided" if rest else "") if part)
