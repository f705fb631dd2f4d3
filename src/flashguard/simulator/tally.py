"""Counts answers and computes the result of a run."""

from .plan import RunResult, SoldStock, stands_behind


class Tally:
    """The answers of one run so far."""

    def __init__(self) -> None:
        self.requests = 0
        self.locks = 0
        self.sold_out = 0
        self.errors = 0
        self.retries = 0
        self.latencies_ms: list[float] = []
        self._sum_ms = 0.0

    def answered(self, granted: bool, latency_ms: float) -> None:
        self.requests += 1
        if granted:
            self.locks += 1
        else:
            self.sold_out += 1
        self.latencies_ms.append(latency_ms)
        self._sum_ms += latency_ms

    def failed(self) -> None:
        self.requests += 1
        self.errors += 1

    @property
    def avg_latency_ms(self) -> float:
        return round(self._sum_ms / len(self.latencies_ms), 2) if self.latencies_ms else 0.0

    def result(self, strategy: str, seconds: float, stocks: tuple[SoldStock, ...]) -> RunResult:
        """Return the run's figures; percentiles by nearest rank."""
        ordered = sorted(self.latencies_ms)
        return RunResult(
            strategy=strategy,
            total_requests=self.requests,
            successful_locks=self.locks,
            inventory_oversold=sum(stock.oversold for stock in stocks),
            units_leaked=sum(stock.leaked for stock in stocks),
            avg_latency_ms=self.avg_latency_ms,
            p50_ms=percentile(ordered, 0.50),
            p99_ms=percentile(ordered, 0.99),
            errors=self.errors,
            seconds=round(seconds, 3),
            requests_per_second=round(self.requests / seconds, 1) if seconds else 0.0,
            sold_out=self.sold_out,
            retries=self.retries,
            latency_histogram=histogram(ordered),
            behind=stands_behind(strategy),
            stocks=stocks,
        )


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile of an ordered list; 0 for an empty one."""
    if not ordered:
        return 0.0
    rank = max(1, -(-len(ordered) * share // 1))
    return round(ordered[min(len(ordered), int(rank)) - 1], 2)


def histogram(ordered: list[float]) -> tuple[tuple[float, int], ...]:
    """Return the number of latencies below each edge: 1, 2, 4, 8, … ms."""
    edges: list[tuple[float, int]] = []
    at, edge = 0, 1.0
    while at < len(ordered):
        start = at
        while at < len(ordered) and ordered[at] < edge:
            at += 1
        edges.append((edge, at - start))
        edge *= 2
    return tuple(edges)
