"""The stock of all sales together, for metrics."""

import asyncpg

from .connections import Connections


async def items_on_sale(connections: Connections, most: int) -> list[asyncpg.Record]:
    """Return stock, held and sold of at most this number of items, each row with the number of all items.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    return await connections.rows("items_on_sale", most)


async def units_out(connections: Connections) -> asyncpg.Record:
    """Return the units that are neither sold, nor rightly held, nor available.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    row = await connections.row("units_out")
    if row is None:
        raise AssertionError("an aggregate always has one row")
    return row
