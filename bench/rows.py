"""The result of one measurement, and how several become one figure."""

import os
from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

RULE = (
    "Every target of a scenario is measured once per round, one after the other, on the same servers; odd "
    "rounds go through them backwards. A figure is the median over the rounds; a ratio is the median of the "
    "rounds' ratios, each between two measurements of the same round. With two rounds that is their mean."
)


class Row(msgspec.Struct, kw_only=True):
    """One target under one load for some seconds."""

    scenario: str
    target: str
    connections: int = 0
    round: int = 0
    seconds: float = 0.0
    per_second: float = 0.0
    """Answers that the scenario expects, per second; no others."""
    answers: dict[str, int] = {}
    """All answers, by outcome."""
    errors: int = 0
    """All other answers, and broken connections."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    committed: int | None = None
    """Orders (or units held) in PostgreSQL afterwards, if counted."""
    cpu_us: dict[str, float] = {}
    """CPU per answer, by part, in microseconds, including work after the load."""
    others_cores: float = 0.0
    """CPU of everything else on this machine meanwhile, in cores."""
    more: dict[str, float] = {}
    """Figures of this scenario alone."""

    @property
    def product_cpu_us(self) -> float:
        """Return all CPU of the product per answer: API, recorder and both servers."""
        return sum(spent for part, spent in self.cpu_us.items() if part != "client")

    @property
    def client_share(self) -> float:
        """Return the load generator's share of the machine; without HTTP it is the product too."""
        rate = sum(self.answers.values()) / self.seconds if self.seconds else self.per_second
        return self.cpu_us.get("client", 0.0) * rate / 1_000_000 / (os.cpu_count() or 1)


Rows = Sequence[Row]


def select(rows: Rows, scenario: str, target: str, connections: int | None = None) -> list[Row]:
    """Return these rows in the order of their rounds."""
    found = [
        row
        for row in rows
        if row.scenario == scenario and row.target == target and connections in (None, row.connections)
    ]
    return sorted(found, key=lambda row: row.round)


def middle(values: Iterable[float]) -> float | None:
    """Return the median; None without values."""
    listed = list(values)
    return median(listed) if listed else None


def ratio(ours: Rows, theirs: Rows, value: Callable[[Row], float]) -> float | None:
    """Return the median of the rounds' ratios; None if no round has both."""
    others = {row.round: value(row) for row in theirs}
    return middle(value(row) / others[row.round] for row in ours if others.get(row.round))
