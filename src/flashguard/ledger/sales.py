"""Sales and their items."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

import asyncpg
from msgspec import Struct

from flashguard.model import Durability, Item, MinorUnits, Sale, SaleId, SaleStatus, Sku, public_sale
from flashguard.model.room import encode_room, stored_room
from flashguard.model.rules import from_kernel, to_kernel

from .connections import Connections, rows_of
from .sql import query
from .unreadable import all_readable, check_times, readable_row


class StoredSale(Struct, frozen=True):
    """A sale as the ledger has it, with what is not part of its public face."""

    sale: Sale
    max_hold_seconds: int
    creation_key: str | None = None
    creation_body: int | None = None
    room_seed: str | None = None


class _RolledBack(Exception):
    """Ends a transaction that must change nothing."""


class Sales:
    """The sales. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def create(self, stored: StoredSale, partition: int) -> bool:
        """Write a new sale; return False when the id or the creation key is in use."""
        return not await self.create_all([(stored, partition)])

    async def create_all(self, sales: Sequence[tuple[StoredSale, int]], *, keep: bool = True) -> list[int]:
        """Write new sales with their partitions, all or none.

        Parameters:
            keep: False to write nothing, and only check.

        Returns:
            the places of the sales whose id or creation key is in use.
        """
        in_use: list[int] = []
        async with self._connections.connection() as connection:
            try:
                async with connection.transaction():
                    for place, (stored, partition) in enumerate(sales):
                        done = await connection.execute(query("create_sale"), *_creation(stored, partition))
                        if not rows_of(done):
                            in_use.append(place)
                    if in_use or not keep:
                        raise _RolledBack
            except _RolledBack:
                pass
        return in_use

    async def get(self, sale_id: SaleId) -> StoredSale | None:
        """Return a sale; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        with readable_row("sale", public_sale(sale_id)):
            row = await self._connections.row("sale_by_id", sale_id)
            if row is None:
                return None
            items = await self.items([sale_id])
            return StoredSale(
                _sale(row, items.get(sale_id, ())),
                row["max_hold_seconds"],
                row["creation_key"],
                row["creation_body"],
                row["room_seed"],
            )

    async def created_with(self, key: str) -> SaleId | None:
        """Return the sale that this idempotency key created; None when there is none."""
        row = await self._connections.row("sale_by_creation_key", key)
        return None if row is None else SaleId(row["id"])

    async def page(
        self, after: tuple[datetime, str] | None, limit: int, *, drafts: bool = True
    ) -> list[Sale]:
        """Return a page of sales, newest first, with or without drafts. Unreadable rows are left out."""
        at, id_ = after or (None, "")
        found: list[Sale] = []
        while len(found) < limit:
            rows = await self._connections.rows("sales_page", at, id_, limit, drafts)
            items = await self.items([row["id"] for row in rows])
            found += all_readable("sale", rows, partial(_sale_with, items))
            last = (rows[-1]["created_at"], rows[-1]["id"]) if rows else None
            if last is None or len(rows) < limit or last == (at, id_):
                break  # where only rows with times out of range are left, the cursor stands still
            at, id_ = last
        return found[:limit]

    async def unknown(self, sale_ids: Collection[SaleId]) -> list[SaleId]:
        """Return those of these sales that the ledger does not have."""
        if not sale_ids:
            return []
        rows = await self._connections.rows("unknown_sales", list(sale_ids))
        return [SaleId(row["id"]) for row in rows]

    async def items(self, sale_ids: Sequence[str]) -> dict[str, tuple[Item, ...]]:
        """Return the items of these sales, by sale."""
        items: dict[str, list[Item]] = {}
        for row in await self._connections.rows("items_of", list(sale_ids)):
            items.setdefault(row["sale_id"], []).append(_item(row))
        return {sale_id: tuple(of_sale) for sale_id, of_sale in items.items()}

    async def note_room_opened(self, sale_id: SaleId) -> None:
        """Close the lottery of the sale's waiting room to new tickets, whatever memory loses."""
        await self._connections.run("note_room_opened", sale_id)

    async def has_restock(self, sale_id: SaleId, key: str) -> bool:
        """Return whether the restock of this key is recorded."""
        return await self._connections.row("restock_recorded", sale_id, key) is not None

    async def change_made_with(self, sale_id: SaleId, key: str) -> tuple[str, SaleStatus] | None:
        """Return the verb that was recorded under this key, and the sale's status after it."""
        row = await self._connections.row("sale_change", sale_id, key)
        return None if row is None else (row["verb"], SaleStatus(row["status"]))


def _creation(stored: StoredSale, partition: int) -> tuple[object, ...]:
    """Return a new sale as `create_sale` takes it."""
    sale = stored.sale
    return (
        sale.id, sale.name, partition, sale.starts_at, sale.ends_at, sale.hold_seconds,
        stored.max_hold_seconds, sale.limit_per_customer, stored.creation_key, stored.creation_body,
        [item.sku for item in sale.items], [item.name for item in sale.items],
        [item.price_minor for item in sale.items], [item.currency for item in sale.items],
        [item.stock for item in sale.items], sale.hold_durability,
        None if sale.waiting_room is None else encode_room(sale.waiting_room), stored.room_seed,
        json.dumps(to_kernel(sale.rules) | ({"spread": sale.spread} if sale.spread > 1 else {})),
    )  # fmt: skip


def _sale_with(items: Mapping[str, tuple[Item, ...]], row: asyncpg.Record) -> Sale:
    return _sale(row, items.get(row["id"], ()))


def _sale(row: asyncpg.Record, items: tuple[Item, ...]) -> Sale:
    rules = json.loads(row["rules"])
    check_times(row["starts_at"], row["ends_at"], row["created_at"])
    return Sale(
        id=SaleId(row["id"]),
        name=row["name"],
        status=SaleStatus(row["status"]),
        items=items,
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        hold_seconds=row["hold_seconds"],
        limit_per_customer=row["limit_per_customer"],
        hold_durability=Durability(row["hold_durability"]),
        waiting_room=stored_room(row["waiting_room"], row["room_seed"]),
        rules=from_kernel(rules),
        created_at=row["created_at"],
        spread=rules.get("spread", 1),
    )


def _item(row: asyncpg.Record) -> Item:
    return Item(
        sku=Sku(row["sku"]),
        name=row["name"],
        price_minor=MinorUnits(row["price_minor"]),
        currency=row["currency"],
        stock=row["stock"],
        held=row["held"],
        sold=row["sold"],
    )
