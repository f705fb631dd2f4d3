"""Tables of a sale's items, pools and locations."""

from decimal import Decimal
from typing import Any, Final

from .output import PlainTable, shown

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
