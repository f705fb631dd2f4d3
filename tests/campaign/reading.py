"""Reads what a round left behind, in the words of its history."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from flashguard.engine.receipts import IdKind, Signer
from flashguard.model import CustomerId, SaleId
from flashguard.model.locations import counter_at, item_and_location
from flashguard.model.shards import home_shard, shard_id
from tests.campaign.history import Counters, History, Ledger, Record, Row
from tests.campaign.plan import Plan


def short_ids(history: History, signer: Signer, spread: int) -> Callable[[str], str]:
    """Return the reservation id of a key: in a spread sale, the key of its customer at the home shard."""
    customers = {told.ask.key: told.ask.customer for told in history.told}

    def short_id(key: str) -> str:
        sale = SaleId(history.sale)
        if spread == 1:
            return signer.short_id(IdKind.RESERVATION, sale, key)
        customer = CustomerId(customers[key])
        part = shard_id(sale, home_shard(customer, spread))
        return signer.short_id(IdKind.RESERVATION, part, key, customer=customer)

    return short_id


def record_of(the: Plan, history: History, ledger: Ledger, short_id: Callable[[str], str]) -> Record:
    keys = {told.ask.key for told in history.told if told.ask.verb in ("hold", "buy")}
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
    lines, located = _pairs(json.loads(row["lines"])), _located(row["details"])
    return Row(row["id"], row["customer"], row["status"], lines, row["sale_id"], located)


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
