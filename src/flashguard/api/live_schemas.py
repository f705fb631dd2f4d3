"""What the live calls look like: events, simulations, the system; pydantic, for the OpenAPI document."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from flashguard.simulator.plan import MAX_BUYERS, MAX_STOCK, STRATEGIES

from .schemas import SaleView

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
]
SimulationStatus = Literal["starting", "running", "finished", "stopped", "failed"]
Environment = Literal["embedded", "own servers", "container", "AWS Lambda"]


class StockItemView(BaseModel):
    sku: str
    stock: int
    available: int
    held: int
    sold: int


class StockEvent(BaseModel):
    """The items that changed, as they are now."""

    sale_id: str
    at: datetime
    items: list[StockItemView]


class AwayEvent(BaseModel):
    """Memory does not answer: numbers shown are stale until the next `sale` or `stock`."""

    code: Literal["recovering"]
    detail: str


class PingEvent(BaseModel):
    at: datetime


class SaleEvents(BaseModel):
    """The `data` of each event, by the event's name."""

    sale: SaleView
    stock: StockEvent
    away: AwayEvent
    ping: PingEvent


class SimulationBody(BaseModel):
    """A simulation to start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    buyers: int = Field(ge=1, le=MAX_BUYERS)
    stock: int = Field(ge=0, le=MAX_STOCK)
    strategies: list[StrategyName] = Field(min_length=1, max_length=len(STRATEGIES))


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


class CountersView(BaseModel):
    """The four live counters, and what happened in the last 100 ms."""

    strategy: str
    total_requests: int
    successful_locks: int
    inventory_oversold: int
    avg_latency_ms: float
    requests_now: int
    locks_now: int
    at_ms: int


class LogLineView(BaseModel):
    """A line of the system's own log; `at_ms` since the simulation's start."""

    at_ms: int
    text: str
    level: Literal["info", "warning", "error"]


class SeriesPointView(BaseModel):
    """What happened in 100 ms."""

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
    """A simulation, running or over."""

    log: list[LogLineView]
    series: list[SeriesPointView]


class SimulationsPage(BaseModel):
    """The newest simulations, and what one may ask for."""

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


class RecoveryView(BaseModel):
    """A partition's memory that was built again from the ledger."""

    partition: int
    why: str
    seconds: float = Field(description="from noticing to serving again")
    at: datetime


class ComponentView(BaseModel):
    """A component's state. What does not answer says why in `detail`."""

    status: Literal["ok", "degraded", "recovering", "unavailable"]
    version: str | None = None
    latency_ms: float | None = None
    detail: str | None = None
    lag_entries: int | None = Field(None, description="recorder: entries that the ledger does not have yet")
    lag_seconds: float | None = None
    partitions: int | None = None
    away_partitions: list[int] | None = None
    recovering_partitions: list[int] | None = None
    stuck_partitions: list[int] | None = None
    recorders: int | None = Field(None, description="recorder: how many run")
    parked_transitions: int | None = Field(
        None, description="recorder: journal entries that the ledger refused more than once"
    )
    recorder_partitions: list[list[int]] | None = Field(
        None, description="recorder: the partitions that each one has"
    )
    recoveries: int | None = Field(None, description="recorder: how often memory was built again")
    last_recovery: RecoveryView | None = None
    viewers: int | None = Field(None, description="live: open event streams of this process")


class ComponentsView(BaseModel):
    api: ComponentView
    memory: ComponentView
    ledger: ComponentView
    recorder: ComponentView
    live: ComponentView


READY: Final[dict[str, Any]] = {
    "memory": {"status": "ok", "version": "9.0.1", "latency_ms": 0.4},
    "ledger": {"status": "ok", "version": "PostgreSQL 18.1", "latency_ms": 0.9},
    "recorder": {
        "status": "ok", "lag_entries": 0, "lag_seconds": 0.0, "partitions": 2, "recorders": 1,
        "recorder_partitions": [[0, 1]], "parked_transitions": 0, "recoveries": 0,
    },
}  # fmt: skip
READ_ONLY: Final = {
    "status": "unavailable",
    "detail": "PostgreSQL is read only (default_transaction_read_only is on)",
}
NOT_READY: Final = {"status": "unavailable", "components": READY | {"ledger": READ_ONLY}}
"""What `/readyz` answers with 503, for example."""


class ReadyComponentsView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [READY]})

    memory: ComponentView
    ledger: ComponentView
    recorder: ComponentView


class ReadyView(BaseModel):
    """Whether buyers can be served, and each component's state."""

    status: Literal["ok", "degraded", "unavailable"]
    components: ReadyComponentsView


class HealthView(BaseModel):
    """That the process runs."""

    status: Literal["ok"]


class SimulationsView(BaseModel):
    enabled: bool
    max_buyers: int
    strategies: list[StrategyName]


class SystemView(BaseModel):
    """What runs here, and how each part does."""

    version: str
    mode: Literal["development", "production"]
    environment: Environment
    partitions: int
    workers: int
    components: ComponentsView
    simulations: SimulationsView


class ScriptName(BaseModel):
    name: str
    sha: str = Field(description="SHA-1, as the memory server names it")


class ScriptView(ScriptName):
    source: str


class ScriptsView(BaseModel):
    data: list[ScriptName]


def event_stream(events: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The 200 of an event stream: its events' data, by name."""
    return {
        200: {
            "model": events,
            "description": "Server-Sent Events; each event's `data` is the member of its name.",
        }
    }
