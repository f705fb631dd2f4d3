"""What `flashguard doctor` asks PostgreSQL about itself, this role and its rows."""

import asyncpg

from .connections import Connection, Connections
from .sql import query


async def settings(connections: Connections) -> asyncpg.Record:
    """Return the server's version and settings, and its clock."""
    row = await connections.row("doctor_settings")
    if row is None:
        raise AssertionError("current_setting always answers")
    return row


async def now_ms(connections: Connections) -> float:
    """Return PostgreSQL's clock, in Unix milliseconds."""
    return float((await settings(connections))["now_ms"])


async def durabilities(connections: Connections) -> dict[str, int]:
    """Return the number of sales that are not closed, by their hold_durability."""
    return {row["hold_durability"]: row["sales"] for row in await connections.rows("doctor_durabilities")}


async def standbys(connections: Connections) -> asyncpg.Record | None:
    """Return the number of standbys and how far they are behind; None when this role may not see them."""
    try:
        return await connections.row("doctor_standbys")
    except asyncpg.InsufficientPrivilegeError:
        return None


async def access(connection: Connection) -> asyncpg.Record | None:
    """Return this role's rights and the connection's encryption; None when the schema is missing."""
    try:
        row = await connection.fetchrow(query("doctor_access"))
    except asyncpg.InvalidSchemaNameError:
        return None
    if row is None:
        raise AssertionError("a SELECT of values always has one row")
    return row


async def backend(connection: Connection) -> int:
    """Return the process id of the server process that answers on this connection now."""
    return int(await connection.fetchval(query("doctor_backend")))


async def missing_ranges(connections: Connections) -> list[str]:
    """Return the names of the range constraints that the schema lacks."""
    return [row["name"] for row in await connections.rows("missing_ranges")]


async def unreadable_rows(connections: Connections, limit: int) -> list[asyncpg.Record]:
    """Return sales, reservations, webhook messages and facts with unreadable values, at most `limit` of
    each."""
    async with connections.connection() as connection:
        rows = await connection.fetch(query("unreadable_sales"), limit)
        rows += await connection.fetch(query("unreadable_reservations"), limit)
        rows += await connection.fetch(query("unreadable_deliveries"), limit)
        return rows + await connection.fetch(query("unreadable_facts"), limit)
