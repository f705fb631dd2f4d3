"""The views of health, readiness, the system and its scripts."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from .simulations import Environment, StrategyName


class RecoveryView(BaseModel):
    """A rebuild of a partition's memory from the ledger."""

    partition: int
    why: str
    seconds: float = Field(description="Seconds from noticing the loss to serving again")
    at: datetime


class ComponentView(BaseModel):
    """A component's state; `detail` says why it does not answer."""

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
    recorders: int | None = Field(None, description="recorder: number of running recorders")
    parked_transitions: int | None = Field(
        None, description="recorder: journal entries that the ledger refused more than once"
    )
    recorder_partitions: list[list[int]] | None = Field(
        None, description="recorder: the partitions of each recorder"
    )
    recoveries: int | None = Field(None, description="recorder: number of rebuilds of memory")
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
"""Example of a 503 answer of `/readyz`."""


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
    """Says that the process is running."""

    status: Literal["ok"]


class SimulationsView(BaseModel):
    enabled: bool
    max_buyers: int
    strategies: list[StrategyName]


class SystemView(BaseModel):
    """The system and the state of each component."""

    version: str
    mode: Literal["development", "production"]
    environment: Environment
    partitions: int
    workers: int
    components: ComponentsView
    simulations: SimulationsView


class ScriptName(BaseModel):
    name: str
    sha: str = Field(description="SHA-1, by which Valkey/Redis names the script")


class ScriptView(ScriptName):
    source: str


class ScriptsView(BaseModel):
    data: list[ScriptName]
