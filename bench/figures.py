"""How a figure is computed from the rows of a run. `bench.goals` names the figures and their goals."""

from collections.abc import Callable

from bench.rows import Row, Rows, middle, ratio, select

Value = float | None
Measure = Callable[[Rows], Value]


def rate(row: Row) -> float:
    return row.per_second


def short(value: Value, digits: int = 2) -> Value:
    return None if value is None else round(value, digits)


def rates(
    scenario: str, ours: str, theirs: str, connections: int | None = None, *, digits: int = 2
) -> Measure:
    """Return the ratio of two targets' answers per second."""
    return _ratio(scenario, ours, theirs, connections, rate, digits)


def costs(
    scenario: str, ours: str, theirs: str, part: str, connections: int | None = None, *, digits: int = 2
) -> Measure:
    """Return the ratio of one part's CPU per answer."""
    return _ratio(scenario, ours, theirs, connections, lambda row: row.cpu_us[part], digits)


def _ratio(
    scenario: str, ours: str, theirs: str, connections: int | None, value: Callable[[Row], float], digits: int
) -> Measure:
    def measure(rows: Rows) -> Value:
        mine, other = (select(rows, scenario, target, connections) for target in (ours, theirs))
        return short(ratio(mine, other, value), digits)

    return measure


def medians(
    scenario: str,
    target: str,
    value: Callable[[Row], float],
    connections: int | None = None,
    *,
    digits: int = 2,
) -> Measure:
    """Return the median over the rounds."""
    return lambda rows: short(middle(map(value, select(rows, scenario, target, connections))), digits)


def p99_ms(row: Row) -> float:
    return row.p99_ms or 0.0


def worst_half_load(rows: Rows) -> Value:
    return short(max(map(p99_ms, select(rows, "half-load", "flashguard")), default=None))


def burst_seconds(rows: Rows) -> Value:
    """Return the median; None if an answer was wrong or missing."""
    found = select(rows, "burst", "flashguard")
    return None if any(row.errors for row in found) else short(middle(row.seconds for row in found))


RIVALS = (
    "row-lock", "row-lock+lane", "conditional-update", "skip-locked", "redis-lua", "redis-lua+lane",
    "sql-batched", "sql-batched+lane", "sql-batched×2", "sql-batched-bare", "sql-batched-bare×2",
    "evalsha-hold", "floor", "redis-benchmark",
)  # fmt: skip


def errors(rows: Rows) -> Value:
    return sum(row.errors for row in rows if row.target not in RIVALS)


def grown(small: str, large: str) -> Measure:
    """Return the CPU of all parts per hold at the largest size over that at the smallest."""

    def cost(rows: Rows, target: str) -> Value:
        return middle(row.product_cpu_us for row in select(rows, "growth", target))

    def measure(rows: Rows) -> Value:
        first, last = cost(rows, small), cost(rows, large)
        return short(last / first) if first and last is not None else None

    return measure


def live_holds(rows: Rows) -> Value:
    """Return how the cost grows up to the largest measured number of live holds."""
    names = {row.target for row in rows if row.scenario == "growth" and row.target.endswith("live holds")}
    largest = max(names, key=lambda name: int(name.split()[0].replace(",", "")), default="")
    return grown("0 live holds", largest)(rows)


def bytes_each(row: Row) -> float:
    return row.more["bytes_each"]
