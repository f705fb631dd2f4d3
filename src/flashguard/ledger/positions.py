"""How far the recorder of each partition has come, and the rebuilds of its memory."""

import asyncpg

from flashguard.model import Position

from .connections import Connection, Connections
from .sql import query


class Positions:
    """The partitions' positions. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, partition: int) -> Position:
        """Return the partition's position.

        Raises:
            LookupError: the installation has no such partition.
        """
        return _of_partition(partition, await self._connections.row("position", partition))

    async def all(self) -> dict[int, Position]:
        """Return every partition's position."""
        return {row["partition"]: _position(row) for row in await self._connections.rows("positions")}

    async def is_doubted(self, partition: int) -> bool:
        """Return whether the partition's memory must be rebuilt: see `doubted`."""
        return bool(await self._connections.value("doubted", partition))

    async def doubted(self) -> set[int]:
        """Return the partitions whose memory must be rebuilt, because the ledger refused one of its
        transitions or an operator asked for it."""
        return {row["partition"] for row in await self._connections.rows("doubted_partitions")}

    async def recoveries(self) -> asyncpg.Record:
        """Return how often memory was rebuilt, how long that took, and the newest time."""
        row = await self._connections.row("recoveries")
        if row is None:
            raise AssertionError("an aggregate always has one row")
        return row


async def position_in(connection: Connection, partition: int) -> Position:
    """Return a partition's position within the caller's transaction.

    Raises:
        LookupError: the installation has no such partition.
    """
    return _of_partition(partition, await connection.fetchrow(query("position"), partition))


async def lock_position(connection: Connection, partition: int) -> Position:
    """Return a partition's position; no recorder moves it until the caller's transaction ends.

    Raises:
        LookupError: the installation has no such partition.
    """
    return _of_partition(partition, await connection.fetchrow(query("lock_position"), partition))


async def raise_epoch(connection: Connection, partition: int, position: Position, token: str) -> int | None:
    """Begin the partition's next epoch with this token; return it. None when the position has moved."""
    epoch: int | None = await connection.fetchval(
        query("raise_epoch"), partition, position.epoch, position.seq, position.token, token
    )
    return epoch


async def adopt_epoch(connection: Connection, partition: int, epoch: int) -> None:
    """Move the partition past this epoch of memory, so that the next one is newer for every process."""
    await connection.execute(query("adopt_epoch"), partition, epoch)


async def doubt(connection: Connection, partition: int) -> None:
    """Note that the partition's memory must be rebuilt."""
    await connection.execute(query("doubt"), partition)


async def note_recovery(
    connection: Connection,
    partition: int,
    epoch: int,
    *,
    why: str,
    seconds: float,
    entries: int,
    sales: int,
    reservations: int,
) -> None:
    """Write down one rebuild of a partition's memory."""
    await connection.execute(
        query("note_recovery"), partition, epoch, why, seconds, entries, sales, reservations
    )


def _of_partition(partition: int, row: asyncpg.Record | None) -> Position:
    if row is None:
        raise LookupError(f"the ledger has no partition {partition}")
    return _position(row)


def _position(row: asyncpg.Record) -> Position:
    return Position(row["epoch"], row["seq"], row["token"])
