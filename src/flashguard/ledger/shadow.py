"""Where a shop's own stock and FlashGuard differ, in the ledger."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from .connections import Connections
from .sql import query


class Attempt(Struct, frozen=True, kw_only=True):
    """What became of one attempt, in the shop and here. `lines` is JSON: sku, quantity, sku, quantity, …"""

    key: str
    customer: str
    lines: str
    shop: str
    ours: str
    reference: str | None = None


class ShadowBook:
    """Reads and writes what was compared. `LedgerAway` is raised when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, sale: str) -> datetime | None:
        """Has a draft be a shadow, now or before; None when it is no draft and no shadow."""
        async with self._connections.connection() as connection:
            await connection.execute(query("begin_shadow"), sale)
        return await self.since(sale)

    async def since(self, sale: str) -> datetime | None:
        async with self._connections.connection() as connection:
            since: datetime | None = await connection.fetchval(query("shadow_since"), sale)
            return since

    async def note(self, sale: str, attempts: Sequence[Attempt], both_refused: int) -> None:
        """Writes the attempts that one of the two granted, and counts the others."""
        async with self._connections.connection() as connection:
            await connection.execute(
                query("note_attempts"),
                sale,
                [each.key for each in attempts],
                [each.customer for each in attempts],
                [each.lines for each in attempts],
                [each.shop for each in attempts],
                [each.ours for each in attempts],
                [each.reference for each in attempts],
                both_refused,
            )

    async def to_return(self, sale: str, keys: Sequence[str]) -> list[asyncpg.Record]:
        async with self._connections.connection() as connection:
            return await connection.fetch(query("attempts_to_return"), sale, list(keys))

    async def note_returned(self, sale: str, keys: Sequence[str]) -> None:
        async with self._connections.connection() as connection:
            await connection.execute(query("note_returned"), sale, list(keys))

    async def counts(self, sale: str) -> asyncpg.Record | None:
        """How often the two agreed and differed; None when the sale is no shadow."""
        async with self._connections.connection() as connection:
            return await connection.fetchrow(query("shadow_counts"), sale)

    async def items(self, sale: str) -> list[asyncpg.Record]:
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_items"), sale)

    async def reasons(self, sale: str) -> list[asyncpg.Record]:
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_reasons"), sale)

    async def differences(self, sale: str, most: int) -> list[asyncpg.Record]:
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_differences"), sale, most)
