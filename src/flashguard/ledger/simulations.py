"""Simulations. Their reports are JSON that only the simulator reads."""

from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from .connections import Connections
from .sql import query

KEPT: Final = 500
"""Simulations that are kept; beyond this, the oldest are deleted."""


class StoredSimulation(Struct, frozen=True, kw_only=True):
    """A simulation as the ledger has it: `starting` until its end is reported."""

    id: str
    status: str
    environment: str
    buyers: int
    stock: int
    strategies: tuple[str, ...]
    created_at: datetime
    finished_at: datetime | None = None
    detail: str | None = None
    report: str | None = None


class SimulationBook:
    """Reads and writes simulations. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def create(
        self, id_: str, *, environment: str, buyers: int, stock: int, strategies: tuple[str, ...]
    ) -> StoredSimulation:
        """Write a new simulation."""
        async with self._connections.connection() as connection:
            created_at = await connection.fetchval(
                query("create_simulation"), id_, environment, buyers, stock, list(strategies), KEPT - 1
            )
        return StoredSimulation(
            id=id_,
            status="starting",
            environment=environment,
            buyers=buyers,
            stock=stock,
            strategies=strategies,
            created_at=created_at,
        )

    async def finish(self, id_: str, status: str, detail: str | None, report: str | None) -> datetime | None:
        """Write how it ended; return when. None when it had ended before, or there is no such simulation."""
        async with self._connections.connection() as connection:
            at: datetime | None = await connection.fetchval(
                query("finish_simulation"), id_, status, detail, report
            )
        return at

    async def get(self, id_: str) -> StoredSimulation | None:
        """Return a simulation; None when there is none."""
        async with self._connections.connection() as connection:
            row = await connection.fetchrow(query("simulation"), id_)
        return None if row is None else _stored(row)

    async def newest(self, limit: int) -> list[StoredSimulation]:
        """Return the newest simulations, their reports without log and series."""
        async with self._connections.connection() as connection:
            return [_stored(row) for row in await connection.fetch(query("newest_simulations"), limit)]


def _stored(row: asyncpg.Record) -> StoredSimulation:
    return StoredSimulation(**(dict(row) | {"strategies": tuple(row["strategies"])}))
