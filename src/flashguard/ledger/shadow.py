"""The comparison of a shop's own stock with FlashGuard's."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from .connections import Connections
from .sql import query


class ShadowAttempt(Struct, frozen=True, kw_only=True):
    """The outcome of one attempt, in the shop and here. `lines` is JSON: sku, quantity, sku, quantity, …"""

    key: str
    customer: str
    lines: str
    shop: str
    ours: str
    reference: str | None = None


class ShadowBook:
    """Reads and writes comparisons. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, sale: str) -> datetime | None:
        """Make a draft a shadow; return since when it is one, None when it is neither draft nor shadow."""
        async with self._connections.connection() as connection:
            await connection.execute(query("begin_shadow"), sale)
        return await self.since(sale)

    async def since(self, sale: str) -> datetime | None:
        """Return since when a sale is a shadow; None when it is none."""
        async with self._connections.connection() as connection:
            since: datetime | None = await connection.fetchval(query("shadow_since"), sale)
            return since

    async def note(self, sale: str, attempts: Sequence[ShadowAttempt], both_refused: int) -> None:
        """Write the attempts that the shop or FlashGuard granted, and count those that both refused."""
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
        """Return those of these attempts that the shop sold, each with whether it was returned."""
        async with self._connections.connection() as connection:
            return await connection.fetch(query("attempts_to_return"), sale, list(keys))

    async def note_returned(self, sale: str, keys: Sequence[str]) -> None:
        """Note that the units of these attempts were returned."""
        async with self._connections.connection() as connection:
            await connection.execute(query("note_returned"), sale, list(keys))

    async def counts(self, sale: str) -> asyncpg.Record | None:
        """Return how often shop and FlashGuard agreed and differed; None when the sale is no shadow."""
        async with self._connections.connection() as connection:
            return await connection.fetchrow(query("shadow_counts"), sale)

    async def items(self, sale: str) -> list[asyncpg.Record]:
        """Return the stock of each item, and what shop and FlashGuard sold of it."""
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_items"), sale)

    async def reasons(self, sale: str) -> list[asyncpg.Record]:
        """Return the codes with which FlashGuard refused what the shop sold, and how often."""
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_reasons"), sale)

    async def differences(self, sale: str, most: int) -> list[asyncpg.Record]:
        """Return attempts that only one of the two granted, the oldest first, at most this number."""
        async with self._connections.connection() as connection:
            return await connection.fetch(query("shadow_differences"), sale, most)
