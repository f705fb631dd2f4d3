"""A sale as people read it: its facts, and the tables of its items, pools and locations."""

from decimal import Decimal
from typing import Any, Final

from rich.text import Text

from .local_time import both
from .output import PlainTable, console_for_tables, plain, print_json, shown

COUNTERS: Final = ("stock", "available", "held", "sold")


def items_table(items: list[dict[str, Any]]) -> PlainTable:
    """Return the table of a sale's items."""
    table = PlainTable("sku", "name", "price", *COUNTERS)
    for item in items:
        price = price_of(item["price_minor"], item["currency"])
        name = item["name"] if item["on_sale"] else f"{item['name']} (off sale)"
        table.add_row(item["sku"], name, price, *(shown(item[field]) for field in COUNTERS))
    return table


def pools_table(pools: list[dict[str, Any]]) -> PlainTable:
    """Return the table of a sale's pools."""
    table = PlainTable("pool", "name", *COUNTERS)
    for pool in pools:
        table.add_row(pool["id"], pool["name"], *(shown(pool[field]) for field in COUNTERS))
    return table


def locations_table(items: list[dict[str, Any]]) -> PlainTable:
    """Return the table of the items that have their stock at locations, a row for each of these."""
    table = PlainTable("location", "sku", *COUNTERS)
    for item in items:
        for each in item["locations"]:
            table.add_row(each["id"], item["sku"], *(shown(each[field]) for field in COUNTERS))
    return table


WITHOUT_MINOR: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
THOUSANDTHS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
MINOR_DIGITS: Final = dict.fromkeys(WITHOUT_MINOR, 0) | dict.fromkeys(THOUSANDTHS, 3) | {"CLF": 4, "UYW": 4}
"""Digits of a currency's minor unit, where not two (ISO 4217)."""


def price_of(minor: int, currency: str) -> str:
    """Return a price as people write it: `49.00 EUR` for 4900, `4,900 JPY` for 4900."""
    digits = MINOR_DIGITS.get(currency, 2)
    return f"{Decimal(minor).scaleb(-digits):,.{digits}f} {currency}"


def show_sale(sale: dict[str, Any], as_json: bool) -> None:
    """Print a sale for people, or as JSON."""
    if as_json:
        print_json(sale)
        return
    console = console_for_tables()
    console.print(Text.assemble(plain(sale["id"], "bold"), plain(f" {sale['name']}: {sale['status']}")))
    for name, value in _facts(sale):
        console.print(plain(f"  {name}: {value}"), soft_wrap=True)
    console.print(items_table(sale["items"]))
    if sale["pools"]:
        console.print(pools_table(sale["pools"]))
    if sale["locations"]:
        console.print(locations_table(sale["items"]))


def _facts(sale: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the times and rules of a sale, by name, without rules that it does not have."""
    facts = [
        ("opens", both(sale["starts_at"])),
        ("ends", both(sale["ends_at"])),
        ("created", both(sale["created_at"])),
        ("holds last", f"{sale['hold_seconds']} s, durability {sale['hold_durability']}"),
        ("limit per customer", _or_none(sale["limit_per_customer"], "units")),
    ]
    if sale["max_held_per_customer"] is not None:
        facts.append(("held per customer at most", f"{sale['max_held_per_customer']} units"))
    if sale["cool_down_seconds"] is not None:
        after = sale["cool_down_after"]
        facts.append(("cool-down", f"{sale['cool_down_seconds']} s after {after} expired holds"))
    if sale["waiting_list"] is not None:
        hold = sale["waiting_list_hold_seconds"] or sale["hold_seconds"]
        facts.append(("waiting list", f"{sale['waiting_list']} places; offers last {hold} s"))
    if (room := sale["waiting_room"]) is not None:
        parts = (f"{name.replace('_', ' ')} {value}" for name, value in room.items() if value is not None)
        facts.append(("waiting room", ", ".join(parts)))
    if sale["room"] is not None:
        facts.append(("shares the room of", sale["room"]))
    if sale["locations"]:
        order = ", then ".join(f"{each['name']} ({each['id']})" for each in sale["locations"])
        facts.append(("taken from", order + (", or from several" if sale["split"] else "")))
    if sale["spread"] > 1:
        facts.append(("spread over", f"{sale['spread']} partitions"))
    return facts


def _or_none(value: int | None, unit: str) -> str:
    return "none" if value is None else f"{value} {unit}"
