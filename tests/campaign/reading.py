"""Reads the state of a round's sale: the ledger's rows, and memory's counters as the API shows them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import msgspec

from flashguard.engine.receipts import IdKind, Signer
from flashguard.model import CustomerId, SaleId
from flashguard.model.locations import counter_at, item_and_location
from flashguard.model.shards import home_shard, shard_id
from tests.campaign.checker import MAKING
from tests.campaign.history import Ask, Counters, Entry, History, Ledger, Record, Row
from tests.campaign.plan import Plan

RESERVATIONS = """sale_id, id, customer, status, lines, details, hold_ms,
    flashguard.to_millis(created_at) AS created_ms,
    flashguard.to_millis(coalesce(confirmed_at, ended_at)) AS ended_ms"""
ENTRIES = """sale_id, id, customer, sku, quantity, state, place,
    flashguard.to_millis(created_at) AS created_ms, flashguard.to_millis(ended_at) AS ended_ms"""
ITEMS = "sku, sum(stock)::bigint AS stock, sum(held)::bigint AS held, sum(sold)::bigint AS sold"
MOMENT = """SELECT flashguard.to_millis(now()) AS now_ms,
    (SELECT flashguard.to_millis(max(at)) FROM flashguard.recoveries) AS rebuilt_ms,
    (SELECT secret FROM flashguard.installation) AS secret"""


async def read_ledger(database_url: str, history: History, memory: dict[str, Counters]) -> tuple[Ledger, str]:
    """Return the ledger's whole knowledge of a sale at one moment, and the installation's secret."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):

            async def fetch(what: str, table: str, more: str = "") -> list[asyncpg.Record]:
                where = f"FROM flashguard.{table} WHERE split_part(sale_id, '~', 1) = $1"
                return list(await connection.fetch(f"SELECT {what} {where} {more}", history.sale))

            rows = await fetch(RESERVATIONS, "reservations")
            items = await fetch(ITEMS, "items", "GROUP BY sku")
            restocks = await fetch("key, sku, delta", "restocks")
            refused = await fetch("id", "refusals")
            entries = await fetch(ENTRIES, "waiting_list")
            moment = await connection.fetchrow(MOMENT)
            assert moment is not None
    finally:
        await connection.close()
    return Ledger(
        rows=tuple(row_of(dict(row)) for row in rows),
        items=with_stock_of_locations(
            {r["sku"]: Counters(r["stock"], r["held"], r["sold"]) for r in items}, history
        ),
        memory=memory,
        restocks=tuple(
            (r["key"], r["sku"], r["delta"]) for r in restocks if not r["key"].startswith("transfer:")
        ),
        transfers=tuple(
            (r["key"], r["sku"], r["delta"]) for r in restocks if r["key"].startswith("transfer:")
        ),
        refused=tuple(r["id"] for r in refused),
        entries=tuple(map(_entry, entries)),
        rebuilt_ms=moment["rebuilt_ms"] or 0,
        now_ms=moment["now_ms"],
    ), moment["secret"]


def short_ids(history: History, signer: Signer, spread: int) -> Callable[[str], str]:
    """Return the reservation id of a key: in a spread sale, the key of its customer at the home shard."""
    asks = {told.ask.key: told.ask for told in history.told}

    def short_id(key: str) -> str:
        sale = SaleId(history.sale)
        kind = IdKind.WAITING_ENTRY if asks[key].verb == "join" else IdKind.RESERVATION
        if spread == 1:
            return signer.short_id(kind, sale, key)
        customer = CustomerId(asks[key].customer)
        part = shard_id(sale, home_shard(customer, spread))
        return signer.short_id(kind, part, key, customer=customer)

    return short_id


def asks_of(history: History, short_id: Callable[[str], str]) -> dict[str, Ask]:
    """Return the request of each reservation and entry, by id without the sale."""
    return {short_id(told.ask.key): told.ask for told in history.told if told.ask.verb in MAKING}


def record_of(the: Plan, history: History, ledger: Ledger, short_id: Callable[[str], str]) -> Record:
    keys = {told.ask.key for told in history.told if told.ask.verb in MAKING}
    ids = {key: short_id(key) for key in sorted(keys)}
    return Record(history, ledger, ids, the.memory_forgets)


def _pairs(flat: list[Any]) -> tuple[tuple[str, int], ...]:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def counters_of(sale: dict[str, Any]) -> dict[str, Counters]:
    """Return memory's counters of a sale: its items, its pools, and its items at each location."""
    found = {}
    for each in (*sale["items"], *sale["pools"]):
        name = each.get("sku") or each["id"]
        found[name] = Counters(each["stock"], each["held"], each["sold"])
        for at in each.get("locations") or ():
            found[counter_at(name, at["id"])] = Counters(at["stock"], at["held"], at["sold"])
    return found


def row_of(row: Mapping[str, Any]) -> Row:
    """Return a reservation; its times are 0 where they were not read."""
    lines, located = _pairs(json.loads(row["lines"])), _located(row["details"])
    return Row(
        row["id"], row["customer"], row["status"], lines, row["sale_id"], located,
        row.get("created_ms", 0), row.get("ended_ms") or 0, row.get("hold_ms", 0),
    )  # fmt: skip


def _entry(row: asyncpg.Record) -> Entry:
    names = ("id", "customer", "sku", "quantity", "state", "place", "created_ms")
    return Entry(**{name: row[name] for name in names}, ended_ms=row["ended_ms"] or 0, part=row["sale_id"])


def _located(details: str | None) -> tuple[tuple[str, int], ...]:
    """Return the units at each location that the ledger's details of a reservation say."""
    takes = json.loads(details).get("takes") or [] if details else []
    return tuple((name, units) for name, units in _pairs(takes) if item_and_location(name)[1] is not None)


def with_stock_of_locations(items: dict[str, Counters], history: History) -> dict[str, Counters]:
    """Return the ledger's counters, with the stock of an item that is at locations as memory tells it: their
    sum. In the ledger its own is beyond any sum."""
    for sku, counters in history.located.items():
        if sku in items:
            stock = sum(items[counter].stock for counter in counters if counter in items)
            items[sku] = msgspec.structs.replace(items[sku], stock=stock)
    return items
