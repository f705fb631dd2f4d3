"""The bodies and views of simulations, and their live events."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flashguard.simulator.plan import ALL_STRATEGIES, MAX_BUYERS, MAX_STOCK

from .live import PingEvent

StrategyName = Literal[
    "naive",
    "row-lock",
    "optimistic",
    "conditional-update",
    "skip-locked",
    "redis-lock",
    "redis-lua",
    "sql-batched",
    "flashguard",
    "naive+lane",
    "row-lock+lane",
    "optimistic+lane",
    "conditional-update+lane",
    "skip-locked+lane",
    "redis-lock+lane",
    "redis-lua+lane",
    "sql-batched+lane",
]

SimulationStatus = Literal["starting", "running", "finished", "stopped", "failed"]

Environment = Literal["embedded", "own servers", "container", "AWS Lambda"]


class SimulationBody(BaseModel):
    """A simulation to start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    buyers: int = Field(ge=1, le=MAX_BUYERS)
    stock: int = Field(ge=0, le=MAX_STOCK)
    strategies: list[StrategyName] = Field(min_length=1, max_length=len(ALL_STRATEGIES))


class SoldStockView(BaseModel):
    """What a strategy sold from one stock."""

    name: str
    stock: int
    sold: int
    oversold: int
    leaked: int


class RunResultView(BaseModel):
    """One strategy's figures."""

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
    sold_out: int
    retries: int
    latency_histogram: list[tuple[float, int]] = Field(description="(upper edge in ms, requests)")
    behind: Literal["framework", "lane"] | None = Field(
        description="What answers its HTTP requests: FastAPI, or FlashGuard's lane; null if it was not noted"
    )
    stocks: list[SoldStockView] = Field(description="What was sold from each stock: the item, or each pool")


class CountersView(BaseModel):
    """The four live counters, and the requests of the last 100 ms."""

    strategy: str
    total_requests: int
    successful_locks: int
    inventory_oversold: int
    avg_latency_ms: float
    requests_now: int
    locks_now: int
    at_ms: int


class LogLineView(BaseModel):
    """A line of the simulation's log; `at_ms` counts from its start."""

    at_ms: int
    text: str
    level: Literal["info", "warning", "error"]


class SeriesPointView(BaseModel):
    """The requests and locks of 100 ms."""

    strategy: str
    at_ms: int
    requests: int
    locks: int


class SimulationSummary(BaseModel):
    """A simulation without its log and series."""

    id: str
    status: SimulationStatus
    environment: Environment
    buyers: int
    stock: int
    strategies: list[StrategyName]
    created_at: datetime
    finished_at: datetime | None
    detail: str | None = Field(description="Why it failed")
    runs: list[RunResultView]
    counters: CountersView | None


class SimulationView(SimulationSummary):
    """A simulation, running or ended."""

    log: list[LogLineView]
    series: list[SeriesPointView]


class SimulationsPage(BaseModel):
    """The newest simulations, and what a simulation may be started with."""

    data: list[SimulationSummary]
    next_cursor: str | None
    environment: Environment
    enabled: bool
    max_buyers: int
    strategies: list[StrategyName]


class SimulationEvents(BaseModel):
    """The `data` of each event, by the event's name."""

    simulation: SimulationView
    counters: CountersView
    log: LogLineView
    run: RunResultView
    ping: PingEvent
