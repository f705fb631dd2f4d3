"""Sales that are spread over several partitions: their shards, and the units on their way between shards."""

from collections.abc import Sequence

import asyncpg
from msgspec import Struct

from flashguard.model import SaleId
from flashguard.model.rules import from_kernel

from .connections import Connection, Connections
from .sql import query
from .unreadable import readable_row


class Transfer(Struct, frozen=True):
    """Units that one shard of a sale gives to another."""

    id: str
    donor: SaleId
    receiver: SaleId
    sku: str
    units: int
    fingerprint: int
    partition: int
    """Where its missing half belongs: the receiver's partition, or the donor's when the departure is lost."""


async def shards_of(connections: Connections, sale: SaleId) -> int:
    """Return the number of shards of a sale; 1 also when there is no such sale.

    Raises:
        LedgerAway: PostgreSQL does not answer.
        UnreadableRow: the number can't be read.
    """
    with readable_row("sale", sale):
        shards = int(await connections.value("spread_of", sale) or 1)
        from_kernel({"spread": shards})
        return shards


async def transfers_to_complete(
    connections: Connections, sale: SaleId | None, seconds: float, limit: int
) -> list[Transfer]:
    """Return transfers whose units left a shard and did not arrive, of one sale or of all.

    Parameters:
        seconds: leave out those that left a shorter time ago.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    return _transfers(await connections.rows("transfers_to_complete", sale, seconds, limit))


async def shards_that_differ(
    connections: Connections, sale: SaleId | None, limit: int
) -> list[asyncpg.Record]:
    """Return the shards whose status or rules are not those of the sale's first shard, of one sale or of all.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    return await connections.rows("shards_that_differ", sale, limit)


async def partitions_of_shards(connection: Connection, sale: SaleId) -> dict[SaleId, int]:
    """Return the shards of a sale, each with its partition."""
    rows = await connection.fetch(query("shards_of"), sale)
    return {SaleId(row["id"]): row["partition"] for row in rows}


async def arrivals_without_departure(connection: Connection, partitions: Sequence[int]) -> list[Transfer]:
    """Return transfers that arrived, and whose departure from one of these partitions the ledger lost."""
    return _transfers(await connection.fetch(query("arrivals_without_departure"), list(partitions)))


async def departures_under_way(connection: Connection, partitions: Sequence[int]) -> list[Transfer]:
    """Return transfers that have not arrived at their receiver on one of these partitions."""
    return _transfers(await connection.fetch(query("departures_under_way"), list(partitions)))


async def record_departure(connection: Connection, transfer: Transfer, *, units_in_stock: bool) -> None:
    """Write down a departure that the ledger lost.

    Parameters:
        units_in_stock: the donor's stock still has the units: take them off, as far as they are unsold.
    """
    await connection.execute(
        query("depart"), transfer.donor, transfer.sku, transfer.units, transfer.receiver, transfer.id,
        units_in_stock, transfer.fingerprint,
    )  # fmt: skip


async def record_arrival(connection: Connection, transfer: Transfer) -> None:
    """Write down an arrival that memory knows and the ledger lost; the counters have its units already."""
    await connection.execute(
        query("arrive"), transfer.receiver, transfer.sku, transfer.units, transfer.donor, transfer.id,
        transfer.fingerprint,
    )  # fmt: skip


async def return_units(connection: Connection, shard: SaleId, sku: str, units_away: int, epoch: int) -> None:
    """Add to a shard's stock the units that left by memory's count and that no transfer accounts for.

    Parameters:
        units_away: units on their way between all shards, by memory.
        epoch: memory's; it names the restock.
    """
    await connection.execute(query("return_units"), shard, sku, units_away, epoch)


def _transfers(rows: Sequence[asyncpg.Record]) -> list[Transfer]:
    return [
        Transfer(
            row["id"], SaleId(row["donor"]), SaleId(row["receiver"]), row["sku"], row["units"],
            row["fingerprint"], row["partition"],
        )
        for row in rows
    ]  # fmt: skip
