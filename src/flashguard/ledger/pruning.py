"""Removes sales that ended long ago: the sale at once, its many rows in batches."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from flashguard.errors import FlashGuardError
from flashguard.model import SaleId

from .admin_log import AdminAction, note
from .connections import Connections
from .sql import query

BATCH: Final = 1_000
"""Rows of one transaction: it takes some 10 ms."""
BATCHES: Final = (
    "prune_payments", "prune_waiting_list", "prune_amendments", "prune_restocks", "prune_shadow_attempts",
    "prune_refusals", "prune_refused_transitions",
)  # fmt: skip
"""The statements that delete the next batch of a sale's rows, a table each. The reservations come last."""
LEAST_PAGES: Final = 64
MOST_PAGES: Final = 1024
"""Pages of the table that a batch of a large sale reads: more, where few are of this sale."""


class EndedSale(Struct, frozen=True):
    """A sale that closed before a time.

    Parameters:
        shards: the ids of its rows: of a spread sale several.
        sold: units that are sold now.
        why_kept: why it must stay; None where it may go.
    """

    id: SaleId
    shards: tuple[SaleId, ...]
    closed_at: datetime
    sold: int
    why_kept: str | None


class MayNotPrune(FlashGuardError):
    """This role may not delete sales: run the command as the role that owns the schema."""


class PruneBook:
    """Removes sales. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ended(self, before: datetime) -> list[EndedSale]:
        """Return the sales that closed before this time, in the order in which they may go."""
        rows = await self._connections.rows("sales_to_prune", before)
        return [
            EndedSale(row["id"], tuple(row["shards"]), row["closed_at"], row["sold"], row["why"])
            for row in rows
        ]

    async def remove(self, sale: SaleId, before: datetime, action: AdminAction) -> str | None:
        """Remove a sale for every reader, and note it in the admin log; its rows are left for `remove_rows`.

        Returns:
            why it must stay, and then nothing is changed; None when it is gone.

        Raises:
            MayNotPrune: only the owner of the schema may.
        """
        try:
            async with self._connections.connection() as connection, connection.transaction():
                why: str | None = await connection.fetchval(query("prune_sale"), sale, before)
                if why is None:
                    await note(connection, action)
                return why
        except asyncpg.InsufficientPrivilegeError as error:
            raise MayNotPrune(
                f"This role may not delete sales ({error}): use the role that owns the schema."
            ) from error

    async def unfinished(self) -> list[SaleId]:
        """Return the ids under which rows of removed sales are left."""
        return [SaleId(row["id"]) for row in await self._connections.rows("prunes_to_finish")]

    async def remove_rows(self, shard: SaleId) -> AsyncIterator[int]:
        """Delete the rows of a removed sale's shard, and yield after each batch how many it had."""
        for name in BATCHES:
            async for rows in self._batches(name, shard):
                yield rows
        table = await self._connections.row("reservations_to_sweep", shard)
        if table is None or not table["is_large"]:
            async for rows in self._batches("prune_reservations", shard):
                yield rows
            return
        file = None
        while table is not None and table["file"] != file:  # else its rows were moved meanwhile
            file = table["file"]
            async for rows in self._sweep(shard, table["pages"]):
                yield rows
            table = await self._connections.row("reservations_to_sweep", shard)

    async def _batches(self, name: str, shard: SaleId) -> AsyncIterator[int]:
        last: str | None = ""
        while last is not None:
            row = await self._connections.row(name, shard, last, BATCH)
            last = None if row is None else row["last"]
            if row is not None and row["rows"]:
                yield row["rows"]

    async def _sweep(self, shard: SaleId, pages: int) -> AsyncIterator[int]:
        """Delete the reservations of a large sale in the order of the table's pages: each is written once."""
        place, width = (0, 0), LEAST_PAGES
        while place[0] < pages:
            end = (place[0] + width, 0)
            row = await self._connections.row("sweep_reservations", shard, place, end, BATCH)
            rows, place = 0 if row is None else row["rows"], end
            if row is not None and rows == BATCH:  # more of them may be on its last page
                place = (row["last"][0], row["last"][1] + 1)
            width = min(width * 2, MOST_PAGES) if rows < BATCH // 4 else LEAST_PAGES
            yield rows

    async def finish(self, shard: SaleId) -> bool:
        """Note that no row of a removed shard is left; return False where a payment is not settled."""
        return await self._connections.run("note_pruned", shard) > 0
