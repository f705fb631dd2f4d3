"""What an audit compares with memory, read in one snapshot."""

import asyncpg
from msgspec import Struct

from flashguard.model import Position, SaleId

from .connections import WHOLE_SALE_SECONDS, Connections
from .positions import position_in
from .sql import query


class AuditedSale(Struct, frozen=True):
    """One sale in the ledger at one position of its partition."""

    position: Position
    items: list[asyncpg.Record]
    orders: asyncpg.Record
    status: str | None
    """None: the ledger has no such sale."""


async def audited_sale(connections: Connections, sale: SaleId, partition: int) -> AuditedSale:
    """Read one sale's counters, rows and orders in one snapshot with its partition's position.

    Raises:
        LedgerAway: PostgreSQL does not answer.
        LookupError: the installation has no such partition.
    """
    async with (
        connections.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        position = await position_in(connection, partition)
        items = await connection.fetch(query("audit_items"), sale, timeout=WHOLE_SALE_SECONDS)
        orders = await connection.fetchrow(query("audit_orders"), sale, timeout=WHOLE_SALE_SECONDS)
        status = await connection.fetchval(query("status_of"), sale)
    if orders is None:
        raise AssertionError("audit_orders always has one row")
    return AuditedSale(position, items, orders, status)


async def audited_transfers(
    connections: Connections, sale: SaleId
) -> tuple[dict[str, asyncpg.Record], list[asyncpg.Record]]:
    """Return the sums of a spread sale's transfers by item, and the arrivals that have no departure.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    async with connections.connection() as connection:
        transfers = {row["sku"]: row for row in await connection.fetch(query("audit_transfers"), sale)}
        return transfers, await connection.fetch(query("audit_arrivals"), sale)
