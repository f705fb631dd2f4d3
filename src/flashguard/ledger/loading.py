"""What memory is loaded from: the sales that it must have, and every row of one sale that it keeps."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg

from flashguard.model import SaleId

from .connections import WHOLE_SALE_SECONDS, Connection
from .sql import query
from .unreadable import readable_row


async def sales_in_memory(
    connection: Connection, partition: int, closed_seconds: float
) -> list[asyncpg.Record]:
    """Return the sales of a partition that memory must have.

    Parameters:
        closed_seconds: a sale that closed longer ago need not be in memory.
    """
    return await connection.fetch(query("sales_in_memory"), partition, closed_seconds)


async def sale_to_load(connection: Connection, sale_id: SaleId) -> asyncpg.Record | None:
    """Return one sale as `sales_in_memory` does; None when there is none.

    Raises:
        UnreadableRow: its values can't be read.
    """
    with readable_row("sale", sale_id):
        return await connection.fetchrow(query("sale_by_id"), sale_id)


class SaleRows:
    """The rows of one sale, for memory. Those that may be millions come in pages, through a cursor: their
    caller has a transaction open.

    Parameters:
        page: rows of one page.
    """

    def __init__(self, connection: Connection, sale_id: SaleId, page: int) -> None:
        self._connection = connection
        self._sale_id = sale_id
        self._page = page

    async def items(self) -> list[asyncpg.Record]:
        """Return the items with their counters."""
        return await self._connection.fetch(query("items_of"), [self._sale_id])

    async def definition(self) -> str | None:
        """Return the JSON that restores a new sale in a ledger that lost it."""
        definition: str | None = await self._connection.fetchval(query("sale_definition"), self._sale_id)
        return definition

    async def restocks(self) -> list[asyncpg.Record]:
        """Return the restocks, each with its key and outcome."""
        return await self._all("restocks_to_load")

    async def moves(self) -> list[asyncpg.Record]:
        """Return the numbers of transfers and units that left and reached this shard, by item."""
        return await self._all("moves_to_load")

    async def parked(self) -> list[asyncpg.Record]:
        """Return the ids under which nothing may be granted or ended."""
        return await self._all("parked_to_load")

    async def amendments(self) -> list[asyncpg.Record]:
        """Return the amends, each with its key and what it made of the reservation."""
        return await self._all("amendments_to_load")

    async def changes(self) -> list[asyncpg.Record]:
        """Return the changes of the sale, each with its key and outcome."""
        return await self._all("sale_changes_to_load")

    def ended(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield the orders and ended holds."""
        return self._pages("ended_to_load", self._sale_id)

    def used(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield the units that each customer has used of the limit."""
        return self._pages("used_to_load", self._sale_id)

    def limits_used(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield what limits by item and by identity count, by the names of memory's fields."""
        return self._pages("limits_used_to_load", self._sale_id)

    def holds(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield the live holds."""
        return self._pages("holds_to_load", self._sale_id)

    def waiting(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield the waiting list's entries, by place."""
        return self._pages("waiting_to_load", self._sale_id)

    async def waited_for(self) -> list[asyncpg.Record]:
        """Return the items for which entries wait on any shard of this shard's sale."""
        return await self._all("waited_for_to_load")

    def hold_history(self, since_ms: int) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield what each customer, and each identity that counts, did with holds since this time."""
        return self._pages("hold_history_to_load", self._sale_id, since_ms)

    def reserved(self) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield when each customer last made a hold or an order: that used a ticket of the waiting room."""
        return self._pages("reserved_to_load", self._sale_id)

    async def _all(self, name: str) -> list[asyncpg.Record]:
        return await self._connection.fetch(query(name), self._sale_id)

    async def _pages(self, name: str, *args: object) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield a query's rows through a cursor; the next page is read while the caller uses this one."""
        cursor = await self._connection.cursor(query(name), *args)
        next_rows = asyncio.create_task(cursor.fetch(self._page, timeout=WHOLE_SALE_SECONDS))
        try:
            while found := await next_rows:
                next_rows = asyncio.create_task(cursor.fetch(self._page, timeout=WHOLE_SALE_SECONDS))
                yield found
        finally:
            if not next_rows.done():
                next_rows.cancel()
                await asyncio.wait([next_rows])
