"""What an operator's choice for memory writes: a ledger that fell back gets what memory still has."""

from collections.abc import Sequence
from enum import StrEnum

from .connections import Connection
from .sql import query


class FromMemory(StrEnum):
    """A kind of record that memory keeps; its statement takes one array for each column."""

    WAITING = "waiting_as_in_memory"
    OFFERS = "offers_as_in_memory"
    ENDED = "ended_as_in_memory"
    HELD = "held_as_in_memory"
    RESTOCKS = "restocks_as_in_memory"
    CHANGES = "changes_as_in_memory"


async def add_sale(connection: Connection, sale: str, partition: int, skus: Sequence[str]) -> None:
    """Insert a sale and items that only memory has left; the ledger's own rows stay."""
    await connection.execute(query("sale_from_memory"), sale, partition)
    await connection.execute(query("items_from_memory"), sale, list(skus))


async def raise_stock(connection: Connection, sales: Sequence[str]) -> None:
    """Raise every stock of these sales out of the way of the journal's tail; `write_counters` lowers it."""
    await connection.execute(query("any_stock"), list(sales))


async def write_rules(connection: Connection, sale: str, config: Sequence[object], rules: str) -> None:
    """Write a sale's status, times, hold seconds, limit and durability, and its optional rules as JSON."""
    await connection.execute(query("rules_as_in_memory"), sale, *config, rules)


async def write_records(
    connection: Connection, kind: FromMemory, sale: str, rows: Sequence[Sequence[object]]
) -> None:
    """Write a sale's records of one kind."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(query(kind), sale, *columns)


async def write_used_limits(
    connection: Connection, sale: str, customers: Sequence[str], units: Sequence[int]
) -> None:
    """Write the units that customers have by memory and by no reservation of the ledger."""
    await connection.execute(query("used_as_in_memory"), sale, list(customers), list(units))


async def write_counters(
    connection: Connection,
    sale: str,
    skus: Sequence[str],
    stock: Sequence[int],
    held: Sequence[int],
    sold: Sequence[int],
    epoch: int,
) -> None:
    """Write counters so that the ledger's rows add up; units beyond them leave the stock.

    Parameters:
        epoch: memory's; it names the restock that says by how much the stock changed.
    """
    await connection.execute(
        query("counters_as_in_memory"), sale, list(skus), list(stock), list(held), list(sold), epoch
    )
