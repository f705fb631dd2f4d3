"""What a caller of the library may hand over: types and bounds, as the HTTP contract has them."""

import re
from typing import Final

from flashguard.model import MAX_NAME, MAX_PRICE_MINOR, MAX_STOCK, Item, is_name

MAX_ITEMS: Final = 10_000
"""Items of one sale."""
_CURRENCY: Final = re.compile("[A-Z]{3}")
_NAME: Final = f"must be 1 to {MAX_NAME} printable characters"


def is_text(value: object) -> bool:
    """Return whether this can be a name, a sku or a reason."""
    return isinstance(value, str) and is_name(value)


def is_whole(value: object, least: int, most: int) -> bool:
    """Return whether this is a whole number in this range; True and False are none."""
    return type(value) is int and least <= value <= most


def invalid_items(items: object) -> str | None:
    """Return why these can't be the items of a new sale, in a sentence; None when they can."""
    if not isinstance(items, list | tuple) or not 1 <= len(items) <= MAX_ITEMS:
        return f"items: must be a tuple of 1 to {MAX_ITEMS} items"
    for place, item in enumerate(items):
        wrong = _invalid_item(item)
        if wrong:
            return f"items[{place}]{wrong}"
    if len({item.sku for item in items}) < len(items):
        return "items: every sku may be there once"
    return None


def _invalid_item(item: object) -> str | None:
    if not isinstance(item, Item):
        return ": must be an Item"
    if not is_text(item.sku) or item.sku in (".", ".."):
        return f".sku: {_NAME}, and not . or .."
    if not is_text(item.name):
        return f".name: {_NAME}"
    if not is_whole(item.price_minor, 0, MAX_PRICE_MINOR):
        return f".price_minor: must be a whole number from 0 to {MAX_PRICE_MINOR}"
    if not isinstance(item.currency, str) or _CURRENCY.fullmatch(item.currency) is None:
        return ".currency: must be three capital letters"
    if not is_whole(item.stock, 0, MAX_STOCK):
        return f".stock: must be a whole number from 0 to {MAX_STOCK}"
    if item.held != 0 or item.sold != 0:
        return ": nothing of a new item can be held or sold"
    return None
