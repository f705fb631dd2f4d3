"""What the recorder writes: one group of the journal, in one transaction that also moves the position."""

import json
from collections.abc import Collection, Mapping, Sequence

import asyncpg

from flashguard.model import Position

from .connections import Connection
from .sql import query

Columns = Sequence[object]
"""Arrays of equal length, one for each column, in the order of the query's parameters."""


async def record_group(
    connection: Connection, partition: int, position: Position, end: Position, rows: tuple[str, str, str]
) -> tuple[bool, list[str]]:
    """Apply a group's reservations and counters and move the position: compare-and-set.

    Parameters:
        position: where the partition must stand.
        end: where it stands afterwards, in the same epoch.
        rows: new reservations, changed reservations and items, each as JSON.

    Returns:
        whether the position was still this one, else nothing is applied; and the items whose counters now
        differ from memory's.
    """
    row = await connection.fetchrow(
        query("record_group"), partition, position.epoch, position.seq, position.token, end.seq, end.token,
        *rows,
    )  # fmt: skip
    if row is None:
        raise AssertionError("record_group always answers")
    return row["applied"], list(row["drift"])


async def record_groups(
    connection: Connection, moves: Sequence[Mapping[str, object]], rows: tuple[str, str, str]
) -> tuple[bool, list[str]]:
    """Apply the groups of several partitions and move all their positions, or none: compare-and-set.

    Parameters:
        moves: per partition where it must stand, and where it stands afterwards; see `record_groups` in
            schema.sql for the names.
        rows: as in `record_group`, of all groups.

    Returns:
        as `record_group` does. False: a position was not the one given, or another transaction has it locked.
    """
    row = await connection.fetchrow(query("record_groups"), json.dumps(moves), *rows)
    if row is None:
        raise AssertionError("record_groups always answers")
    return row["applied"], list(row["drift"])


async def write_rare_events(connection: Connection, late_confirms: str, sale_turns: str) -> None:
    """Write the events of late confirms and of changed sales; both are JSON."""
    await connection.execute(query("write_rare_events"), late_confirms, sale_turns)


async def record_changes(
    connection: Connection, restocks: str, sale_changes: str, late_confirms: str
) -> None:
    """Apply restocks, changes of sales, and late confirms; all three are JSON."""
    await connection.execute(query("record_changes"), restocks, sale_changes, late_confirms)


async def record_sale_rules(connection: Connection, columns: Columns) -> None:
    """Write the rules of sales that changed: sale, rules."""
    await connection.execute(query("record_sale_rules"), *columns)


async def record_change_keys(connection: Connection, columns: Columns) -> None:
    """Write the idempotency keys of changes: sale, key, verb, status, time in Unix milliseconds."""
    await connection.execute(query("record_change_keys"), *columns)


async def record_amends(connection: Connection, amends: str) -> None:
    """Amend holds and orders, given as JSON."""
    await connection.execute(query("record_amends"), amends)


async def record_cancels(connection: Connection, cancels: str) -> None:
    """Cancel orders, given as JSON."""
    await connection.execute(query("record_cancels"), cancels)


async def describe_sales(connection: Connection, columns: Columns) -> None:
    """Write names and waiting rooms that changed: sale, name, room, its lottery's seed."""
    await connection.execute(query("describe_sales"), *columns)


async def replace_items(connection: Connection, sale: str, definition: str) -> None:
    """Give a draft the items of this JSON."""
    await connection.execute(query("remove_items"), sale)
    await connection.execute(query("insert_items"), sale, definition)


async def change_items(connection: Connection, changes: str) -> None:
    """Add, change and remove items, given as JSON."""
    await connection.execute(query("change_items"), changes)


async def delete_drafts(connection: Connection, sales: Collection[str]) -> None:
    """Delete these drafts, and all that is kept under their ids."""
    await connection.execute(query("delete_drafts"), list(sales))


async def restore_sales(connection: Connection, creations: str) -> str | None:
    """Insert the sales of this JSON that the ledger lacks; return the id under which it has another sale."""
    # Fetch all rows: the function may insert no further than the rows that are read.
    rows = await connection.fetch(query("restore_sales"), creations)
    return rows[0]["id"] if rows else None


async def first_unknown_sale(connection: Connection, sale_ids: Collection[str]) -> str | None:
    """Return the first of these sales that the ledger does not have; None when it has all."""
    unknown: str | None = await connection.fetchval(query("unknown_sales"), list(sale_ids))
    return unknown


async def lock_counters(connection: Connection, items: Collection[tuple[str, str]]) -> list[asyncpg.Record]:
    """Return the counters of these items, named by sale and sku, locked until the transaction ends."""
    return await connection.fetch(
        query("counters_for_update"), [sale for sale, _ in items], [sku for _, sku in items]
    )


async def reservation_statuses(
    connection: Connection, ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return the status of each of these reservations, named by sale and short id, that the ledger has."""
    return {id_: status for id_, (status, *_) in (await known_reservations(connection, ids)).items()}


async def known_reservations(
    connection: Connection, ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, int, str]]:
    """Return status, revision and what it takes (JSON, flat) of each of these reservations, named by sale and
    short id, that the ledger has."""
    rows = await connection.fetch(
        query("known_reservations"), [sale for sale, _ in ids], [id_ for _, id_ in ids]
    )
    return {(row["sale_id"], row["id"]): (row["status"], row["revision"], row["takes"]) for row in rows}
