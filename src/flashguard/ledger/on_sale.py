"""The stock of running sales, for metrics."""

import asyncpg

from .ledger import Ledger
from .sql import query


async def items_on_sale(ledger: Ledger, most: int) -> list[asyncpg.Record]:
    """Stock, held and sold of so many items, and in each row how many items there are in all.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    async with ledger.connection() as connection:
        return await connection.fetch(query("items_on_sale"), most)
