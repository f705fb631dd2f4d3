"""Sales and their items."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.model import (
    Durability,
    Item,
    LocationStock,
    MinorUnits,
    Pool,
    Sale,
    SaleId,
    SaleStatus,
    Sku,
    WaitingRoom,
    public_sale,
)
from flashguard.model.limits import limit_rules, limits_from_kernel, with_item_limits
from flashguard.model.locations import counter_at, flat_locations, item_and_location, locations_from_flat
from flashguard.model.pools import drawn, flat_uses, kept_stock, own_stock, uses_from_flat
from flashguard.model.room import encode_room, guest_rules, host_of, stored_room
from flashguard.model.rules import from_kernel, to_kernel

from .connections import WHOLE_SALE_SECONDS, Connections, rows_of
from .sql import query
from .unreadable import all_readable, check_times, readable_row


class StoredSale(Struct, frozen=True):
    """A sale as the ledger has it, with what is not part of its public face."""

    sale: Sale
    max_hold_seconds: int
    creation_key: str | None = None
    creation_body: int | None = None
    room_seed: str | None = None


class Goods(NamedTuple):
    """What a sale sells: its items, and the pools that they draw from."""

    items: tuple[Item, ...] = ()
    pools: tuple[Pool, ...] = ()


class ItemHistory(NamedTuple):
    """Whether units of an item were ever held or sold, at a position of the sale's partition."""

    used: bool
    epoch: int
    seq: int


NO_GOODS: Final = Goods()
NO_CURRENCY: Final = "XXX"
"""Of a pool, which has no price."""


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
            goods = await self.goods([sale_id])
            return StoredSale(
                _sale(row, goods.get(sale_id, NO_GOODS)),
                row["max_hold_seconds"],
                row["creation_key"],
                row["creation_body"],
                row["room_seed"] or row["host_seed"],
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
            goods = await self.goods([row["id"] for row in rows])
            found += all_readable("sale", rows, partial(_sale_with, goods))
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

    async def goods(self, sale_ids: Sequence[str]) -> dict[str, Goods]:
        """Return the items and pools of these sales, by sale."""
        rows: dict[str, list[asyncpg.Record]] = {}
        for row in await self._connections.rows("items_of", list(sale_ids)):
            rows.setdefault(row["sale_id"], []).append(row)
        return {sale_id: _goods(of_sale) for sale_id, of_sale in rows.items()}

    async def in_rooms(self) -> list[tuple[SaleId, SaleId]]:
        """Return the sales that share a waiting room, and their shards, each with the sale that has it."""
        rows = await self._connections.rows("sales_in_rooms")
        return [(SaleId(row["id"]), SaleId(row["room_of"])) for row in rows]

    async def sharing_room_of(self, sale_id: SaleId) -> list[tuple[SaleId, datetime | None]]:
        """Return the sales that share this sale's waiting room and are not closed, each with its end."""
        rows = await self._connections.rows("sharing_room_of", sale_id)
        return [(SaleId(row["id"]), row["ends_at"]) for row in rows]

    async def doors_to_open(self, sale_id: SaleId | None, limit: int) -> list[tuple[SaleId, int, SaleId]]:
        """Return the sales and shards whose doors must open because their room admits no more, in the room of
        one sale or of any; each with its partition and the sale that has the room."""
        rows = await self._connections.rows("doors_to_open", sale_id, limit)
        return [(SaleId(row["id"]), row["partition"], SaleId(row["room_of"])) for row in rows]

    async def note_room_opened(self, sale_id: SaleId) -> None:
        """Close the lottery of the sale's waiting room to new tickets, whatever memory loses."""
        await self._connections.run("note_room_opened", sale_id)

    async def has_restock(self, sale_id: SaleId, key: str) -> bool:
        """Return whether the restock of this key is recorded."""
        return await self._connections.row("restock_recorded", sale_id, key) is not None

    async def item_history(self, sale_id: SaleId, sku: str) -> ItemHistory | None:
        """Return whether units of an item were ever held, and up to which entry of the journal that is known;
        None when there is no such sale."""
        async with self._connections.connection() as connection:
            row = await connection.fetchrow(query("item_history"), sale_id, sku, timeout=WHOLE_SALE_SECONDS)
        return None if row is None else ItemHistory(row["used"], row["epoch"], row["seq"])

    async def change_made_with(self, sale_id: SaleId, key: str) -> tuple[str, SaleStatus] | None:
        """Return the verb that was recorded under this key, and the sale's status after it."""
        row = await self._connections.row("sale_change", sale_id, key)
        return None if row is None else (row["verb"], SaleStatus(row["status"]))


def _creation(stored: StoredSale, partition: int) -> tuple[object, ...]:
    """Return a new sale as `create_sale` takes it."""
    sale = stored.sale
    spread = {"spread": sale.spread} if sale.spread > 1 else {}
    columns = goods_columns(sale.items, sale.pools)
    return (
        sale.id, sale.name, partition, sale.starts_at, sale.ends_at, sale.hold_seconds,
        stored.max_hold_seconds, sale.limit_per_customer, stored.creation_key, stored.creation_body,
        *columns[:5], sale.hold_durability,
        None if sale.waiting_room is None else encode_room(sale.waiting_room), stored.room_seed,
        json.dumps(
            to_kernel(sale.rules) | limit_rules(sale.items, sale.limits) | spread | _rules_of_goods(sale)
            | ({} if sale.room is None else guest_rules(sale.room, opened=False))
        ),
        *columns[5:],
    )  # fmt: skip


def _rules_of_goods(sale: Sale) -> dict[str, Any]:
    """Return what the kernel must know of a sale with pools or locations."""
    rules: dict[str, Any] = {"pools": True} if sale.pools or sale.locations else {}
    if sale.locations:
        rules["locations"] = flat_locations(sale.locations)
    return rules | ({"split": True} if sale.split else {})


def goods_columns(items: Iterable[Item], pools: Iterable[Pool]) -> list[list[object]]:
    """Return a sale's items, pools and items at locations as columns: sku, name, price, currency, stock,
    kind, uses."""
    rows: list[tuple[object, ...]] = [
        (
            item.sku, item.name, item.price_minor, item.currency, kept_stock(item), "item",
            json.dumps(flat_uses(item.uses)) if item.uses else None,
        )
        for item in items
    ]  # fmt: skip
    rows += [(pool.id, pool.name, 0, NO_CURRENCY, pool.stock, "pool", None) for pool in pools]
    rows += [
        (counter_at(item.sku, at.id), at.id, 0, NO_CURRENCY, at.stock, "location", None)
        for item in items
        for at in item.locations
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _sale_with(goods: Mapping[str, Goods], row: asyncpg.Record) -> Sale:
    return _sale(row, goods.get(row["id"], NO_GOODS))


def _sale(row: asyncpg.Record, goods: Goods) -> Sale:
    rules = json.loads(row["rules"])
    check_times(row["starts_at"], row["ends_at"], row["created_at"])
    return Sale(
        id=SaleId(row["id"]),
        name=row["name"],
        status=SaleStatus(row["status"]),
        items=with_item_limits(goods.items, rules),
        limits=limits_from_kernel(rules),
        pools=goods.pools,
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        hold_seconds=row["hold_seconds"],
        limit_per_customer=row["limit_per_customer"],
        hold_durability=Durability(row["hold_durability"]),
        waiting_room=_room_of(row, rules),
        room=host_of(rules),
        rules=from_kernel(rules),
        created_at=row["created_at"],
        locations=locations_from_flat(rules.get("locations", ())),
        split=rules.get("split", False),
        spread=rules.get("spread", 1),
    )


def _room_of(row: asyncpg.Record, rules: Mapping[str, Any]) -> WaitingRoom | None:
    """Return the waiting room of a sale, or the one that it shares."""
    if host_of(rules) is None:
        return stored_room(row["waiting_room"], row["room_seed"])
    room = stored_room(row["host_room"], row["host_seed"])
    if room is None or "room" in rules:
        return room
    return msgspec.structs.replace(room, open_to_all=True)


def _goods(rows: Iterable[asyncpg.Record]) -> Goods:
    items, pools = [], []
    located: dict[str, list[LocationStock]] = {}
    for row in rows:
        if row["kind"] == "item":
            items.append(row)
        elif row["kind"] == "pool":
            pools.append(_pool(row))
        else:
            sku, location = item_and_location(row["sku"])
            at = LocationStock(id=location or "", stock=row["stock"], held=row["held"], sold=row["sold"])
            located.setdefault(sku, []).append(at)
    found = [_item(row, tuple(located.get(row["sku"], ()))) for row in items]
    return Goods(drawn(found, pools), tuple(pools))


def _pool(row: asyncpg.Record) -> Pool:
    return Pool(id=Sku(row["sku"]), name=row["name"], stock=row["stock"], held=row["held"], sold=row["sold"])


def _item(row: asyncpg.Record, locations: tuple[LocationStock, ...]) -> Item:
    item = Item(
        sku=Sku(row["sku"]),
        name=row["name"],
        price_minor=MinorUnits(row["price_minor" if row["price_now_minor"] is None else "price_now_minor"]),
        currency=row["currency"],
        stock=row["stock"],
        held=row["held"],
        sold=row["sold"],
        uses=uses_from_flat(json.loads(row["uses"] or "[]")),
        locations=locations,
        on_sale=row["on_sale"],
    )
    return msgspec.structs.replace(item, stock=own_stock(item, row["stock"]))
