"""Rows of the ledger as the records that memory keeps. No I/O."""

import json
from typing import Any, Final

import asyncpg

from flashguard.kernel.records import (
    AmendRecord,
    ChangeRecord,
    EndedRecord,
    EntryRecord,
    HoldRecord,
    Record,
    RecordStatus,
    RestockRecord,
    WaitsRecord,
    kept_of,
    record_blob,
)
from flashguard.ledger.unreadable import UNREADABLE, sound_details, sound_lines
from flashguard.model import CustomerId, Durability, Sku, to_millis
from flashguard.model.locations import item_and_location
from flashguard.model.room import decode_room, host_of, room_rules

NO_FINGERPRINT: Final = -1
"""Fingerprints of requests are never below zero."""


def waiting_records(rows: list[asyncpg.Record], room: bool) -> tuple[list[Any], list[Any]]:
    """Return the waiting list's entries as records, and the queue of those that wait: see lib/waiting.lua.

    Parameters:
        room: the sale has a waiting room, or shares one; without one every entry counts as admitted.
    """
    records: list[Any] = []
    queue: list[Any] = []
    for row in rows:
        admitted = row["admitted"] or not room
        entry = EntryRecord(
            fingerprint=row["fingerprint"], state=row["state"], created_ms=row["created_ms"],
            place=row["place"], seq=0, customer=row["customer"], sku=row["sku"], quantity=row["quantity"],
            admitted=admitted, identities=json.loads(row["identities"]) if row["identities"] else None,
        )  # fmt: skip
        records.append((f"waiting:{row['id']}", entry))
        if row["state"] == "waiting":
            records.append((f"waits:{row['customer']}", WaitsRecord(row["id"])))
            queue += (row["sku"], row["place"], row["id"], row["quantity"], admitted)
    return records, queue


def hold_history(rows: list[asyncpg.Record]) -> list[Any]:
    """Return the customers and identities, each followed by what memory counts of their holds."""
    return [value for holder, *counts in rows for value in (holder, " ".join(map(str, counts)))]


def sale_config(sale: asyncpg.Record) -> list[Any]:
    """Return a sale's status, times and rules as memory keeps them."""
    starts_at, ends_at = sale["starts_at"], sale["ends_at"]
    return [
        sale["status"],
        to_millis(starts_at) if starts_at else 0,
        to_millis(ends_at) if ends_at else 0,
        sale["hold_seconds"] * 1000,
        sale["max_hold_seconds"] * 1000,
        sale["limit_per_customer"] or 0,
        *_options(sale),
    ]


def _options(sale: asyncpg.Record) -> list[Any]:
    """Return what most sales do without: another durability than the disk, and optional rules."""
    durability = "" if sale["hold_durability"] == Durability.DISK else sale["hold_durability"]
    rules: dict[str, Any] = json.loads(sale["rules"])
    if sale["waiting_room"] is not None:
        room = decode_room(sale["waiting_room"])
        rules |= room_rules(room, opened=sale["room_opened_at"] is not None)
    host_of(rules)  # raises where it can't be read
    if rules:
        return [durability, rules]
    return [durability] if durability else []


def waited_counters(rows: list[asyncpg.Record], skus: set[Sku]) -> set[str]:
    """Return these items, and the pools that they draw from.

    Parameters:
        rows: all items and pools of the sale.
    """
    drawn = (json.loads(row["uses"] or "[]")[::2] for row in rows if row["sku"] in skus)
    return set(skus).union(*drawn)


def item_text(row: asyncpg.Record, *, waited: bool = False) -> str:
    """Return an item's counters as memory keeps them, and its terms where it has some of its own: see
    lib/prices.lua.

    Parameters:
        waited: of a shard: entries wait for it, so its units are set aside; see lib/shard_list.lua.
    """
    counters, price = f"{row['stock']} {row['held']} {row['sold']}", row["price_now_minor"]
    aside = f"{max(0, row['stock'] - row['held'] - row['sold'])} 1" if waited else "0 0"
    if price is None and row["on_sale"]:
        return f"{counters} {aside}" if waited else counters
    on_sale = "on" if row["on_sale"] else "off"
    return f"{counters} {aside} {'-' if price is None else price} {on_sale} {row['price_minor']}"


def recipes_of(rows: list[asyncpg.Record]) -> list[Any]:
    """Return the recipe of every counter of a sale with pools or locations, each after its field: see
    lib/pools.lua and lib/locations.lua."""
    located = {item_and_location(row["sku"])[0] for row in rows if row["kind"] == "location"}

    def recipe(row: asyncpg.Record) -> Any:
        if row["kind"] != "item":
            return row["kind"]
        return {"at": True} if row["sku"] in located else json.loads(row["uses"] or "[]")

    return [value for row in rows for value in (f"recipe:{row['sku']}", recipe(row))]


def restock_record(row: asyncpg.Record) -> tuple[str, Record]:
    """Return the record that makes a restock with the same key change nothing."""
    return row["key"], RestockRecord(row["fingerprint"], row["stock"], row["held"], row["sold"])


def amend_records(sale_id: str, rows: list[asyncpg.Record]) -> list[tuple[str, Record]]:
    """Return the records that make amends with the same keys change nothing."""
    records: list[tuple[str, Record]] = []
    for row in rows:
        lines, details = json.loads(row["lines"]), json.loads(row["details"] or "null")
        if not sound_lines(lines) or not sound_details(details or {}):
            UNREADABLE.note("amendment", f"{sale_id}.{row['key']}", f"its lines are {row['lines'][:100]}")
            lines, details = [], None
        what = (row["fingerprint"], row["id"], row["revision"], 0, row["customer"], lines, details)
        records.append((row["key"], AmendRecord(*what)))
    return records


def change_record(row: asyncpg.Record) -> tuple[str, Record]:
    """Return the record that makes a change of the sale with the same key change nothing."""
    return row["key"], ChangeRecord(row["verb"], row["status"])


def parked_record(row: asyncpg.Record) -> tuple[str, Record]:
    """Return a record that no request matches, so that nothing is granted or ended under a parked id."""
    if row["entry"]:
        entry = EntryRecord(
            fingerprint=NO_FINGERPRINT, state="ended", created_ms=row["created_ms"], place=0, seq=0,
            customer=CustomerId(""), sku=Sku(""), quantity=0,
        )  # fmt: skip
        return f"waiting:{row['id']}", entry
    return row["id"], EndedRecord(
        RecordStatus.EXPIRED, NO_FINGERPRINT, row["created_ms"], hold_ms=1, lasted_ms=0
    )


def hold_records(sale_id: str, rows: list[asyncpg.Record]) -> tuple[list[Any], list[Any]]:
    """Return the records and deadlines of live holds."""
    records: list[Any] = []
    deadlines: list[Any] = []
    for row in rows:
        lines, details = json.loads(row["lines"]), json.loads(row["details"] or "{}")
        if not sound_lines(lines) or not sound_details(details):
            UNREADABLE.note("reservation", f"{sale_id}.{row['id']}", f"its lines are {row['lines'][:100]}")
            continue
        created_ms, expires_ms = row["created_ms"], row["expires_ms"]
        extensions = json.loads(row["extensions"]) if row["extensions"] else []
        hold = HoldRecord(
            status=RecordStatus.HELD, fingerprint=row["fingerprint"], created_ms=created_ms,
            hold_ms=row["hold_ms"], lasts_ms=expires_ms - created_ms, customer=row["customer"],
            lines=lines, extensions=extensions, kept=kept_of(details),
        )  # fmt: skip
        records.append((row["id"], hold))
        deadlines += (expires_ms, row["id"])
    return records, deadlines


def ended_records(rows: list[asyncpg.Record]) -> list[bytes]:
    """Pack orders and ended holds as the kernel does."""
    return [record_blob(EndedRecord(*[*values[:5], 0, *values[5:]])) for _, *values in rows]
