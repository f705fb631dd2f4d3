"""What an operator's choice for memory writes: a ledger that fell back gets what memory still has."""

import json
from collections.abc import Mapping, Sequence
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
    AMENDMENTS = "amendments_as_in_memory"


async def add_sale(
    connection: Connection,
    sale: str,
    partition: int,
    counters: Sequence[str],
    recipes: Mapping[str, object],
) -> None:
    """Insert a sale with its items and pools that only memory has left; the ledger's own rows stay.

    Parameters:
        recipes: of a sale with pools, each counter's, as memory has it: see lib/pools.lua.
    """
    await connection.execute(query("sale_from_memory"), sale, partition)
    known = [recipes.get(counter) for counter in counters]
    await connection.execute(
        query("items_from_memory"),
        sale,
        list(counters),
        [recipe if isinstance(recipe, str) else "item" for recipe in known],
        [json.dumps(recipe) if isinstance(recipe, list) and recipe else None for recipe in known],
    )


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


async def write_terms(
    connection: Connection, sale: str, terms: Mapping[str, tuple[int | None, bool]]
) -> None:
    """Write each item's price since it was changed, and whether it is on sale; remove the items that memory
    does not have, as far as nothing of them is held or sold."""
    prices, on_sale = ([each[at] for each in terms.values()] for at in range(2))
    await connection.execute(query("terms_as_in_memory"), sale, list(terms), prices, on_sale)
    await connection.execute(query("items_not_in_memory"), sale, list(terms))


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
