"""The entries of waiting lists."""

from collections.abc import Sequence

import asyncpg

from .connections import Connection, Connections
from .sql import query
from .unreadable import readable_row


async def waiting_entry(connections: Connections, sale: str, short_id: str) -> asyncpg.Record | None:
    """Return an entry of a sale's waiting list; None when there is none.

    Raises:
        LedgerAway: PostgreSQL does not answer.
        UnreadableRow: its values can't be read.
    """
    with readable_row("waiting entry", f"{sale}.{short_id}"):
        return await connections.row("waiting_entry", sale, short_id)


async def record_joins(connection: Connection, columns: Sequence[list[object]]) -> None:
    """Write entries that joined, given as columns: sale, id, place, customer, sku, units, fingerprint, time
    in Unix milliseconds, admitted, identities as JSON."""
    await connection.execute(query("record_joins"), *columns)


async def record_leaves(connection: Connection, columns: Sequence[list[object]]) -> None:
    """End entries, given as columns: sale, id, state, time in Unix milliseconds."""
    await connection.execute(query("record_leaves"), *columns)
