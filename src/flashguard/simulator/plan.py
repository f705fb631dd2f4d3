"""The plan of a simulation, its events, and its report."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

RIVALS: Final = (
    "naive",
    "row-lock",
    "optimistic",
    "conditional-update",
    "skip-locked",
    "redis-lock",
    "redis-lua",
    "sql-batched",
)
STRATEGIES: Final = (*RIVALS, "flashguard")
LANE: Final = "+lane"
"""What the name of a rival ends with that stands behind FlashGuard's lane, and not behind a framework."""
SELLING_POOLS: Final = ("naive", "row-lock", "conditional-update", "flashguard")
"""Those that can sell from several stocks at once, behind a framework."""
ALL_STRATEGIES: Final = (*STRATEGIES, *(f"{rival}{LANE}" for rival in RIVALS))
MAX_BUYERS: Final = 20_000
MAX_STOCK: Final = 1_000_000


class Plan(Struct, frozen=True, kw_only=True):
    """What to simulate: `buyers` who each want one of `stock` units, once per strategy.

    `url` and `admin_key` are those of the running FlashGuard; the other strategies use its two servers.
    """

    buyers: int
    stock: int
    strategies: tuple[str, ...]
    url: str = ""
    admin_key: str = ""
    redis_url: str = ""
    database_url: str = ""
    pools: bool = False
    """Sell two days of a festival from a pool each, half of the buyers a pass for both: see goods.py."""
    run_seconds: float = 180.0
    """A longer run is ended; its buyers without an answer count as errors."""

    def __post_init__(self) -> None:
        if not 1 <= self.buyers <= MAX_BUYERS:
            raise ValueError(f"buyers: 1 to {MAX_BUYERS}")
        if not 0 <= self.stock <= MAX_STOCK:
            raise ValueError(f"stock: 0 to {MAX_STOCK}")
        unknown = set(self.strategies) - set(ALL_STRATEGIES)
        if unknown or not self.strategies:
            raise ValueError(f"strategies: choose from {', '.join(ALL_STRATEGIES)}")
        without_pools = [name for name in self.strategies if name not in SELLING_POOLS]
        if self.pools and without_pools:
            raise ValueError(
                f"strategies: {', '.join(without_pools)} can't sell from pools; "
                f"with pools choose from {', '.join(SELLING_POOLS)}"
            )


def with_lane(strategies: Sequence[str]) -> tuple[str, ...]:
    """Return these strategies, and after each rival the same one behind the lane."""
    found: dict[str, None] = {}
    for strategy in strategies:
        found[strategy] = None
        if strategy in RIVALS:
            found[f"{strategy}{LANE}"] = None
    return tuple(found)


def stands_behind(strategy: str) -> str:
    """Return what answers a strategy's HTTP requests: `framework` (FastAPI), or FlashGuard's own `lane`."""
    return "lane" if strategy == "flashguard" or strategy.endswith(LANE) else "framework"


class LiveCounters(Struct, frozen=True, kw_only=True, tag="counters"):
    """The four live counters, and the requests and locks of the last 100 ms."""

    strategy: str
    total_requests: int
    successful_locks: int
    inventory_oversold: int
    avg_latency_ms: float
    requests_now: int
    locks_now: int
    at_ms: int


class LogLine(Struct, frozen=True, kw_only=True, tag="log"):
    """One line of the simulation's log; `at_ms` counts from its start."""

    at_ms: int
    text: str
    level: str = "info"


class SoldStock(Struct, frozen=True, kw_only=True):
    """What a strategy sold from one stock: the item, or a pool."""

    name: str
    stock: int
    sold: int
    oversold: int
    """Units that were sold and did not exist."""
    leaked: int
    """Units that are neither sold nor left."""


class RunResult(Struct, frozen=True, kw_only=True):
    """One strategy's figures, named as in the contract."""

    strategy: str
    total_requests: int
    successful_locks: int
    inventory_oversold: int
    units_leaked: int
    avg_latency_ms: float
    p50_ms: float
    p99_ms: float
    errors: int
    seconds: float
    requests_per_second: float
    sold_out: int = 0
    retries: int = 0
    latency_histogram: tuple[tuple[float, int], ...] = ()
    """(upper edge in ms, requests), edges doubling from 1 ms."""
    behind: str | None = None
    """See `stands_behind`; None in a report from before it was noted."""
    stocks: tuple[SoldStock, ...] = ()
    """Each stock's part of `inventory_oversold` and `units_leaked`; empty in a report from before."""


class RunFinished(Struct, frozen=True, kw_only=True, tag="run"):
    result: RunResult


class SimulationReport(Struct, frozen=True, kw_only=True):
    """The report of a simulation, written as JSON."""

    environment: str
    buyers: int
    stock: int
    runs: tuple[RunResult, ...]


Event = LiveCounters | LogLine | RunFinished


def environment(embedded: bool) -> str:
    """Return where this process runs."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        return "AWS Lambda"
    if Path("/.dockerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        return "container"
    return "embedded" if embedded else "own servers"
