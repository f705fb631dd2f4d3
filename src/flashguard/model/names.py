"""Ids, names and keys: their types, their spelling and their length."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, NewType, TypeGuard

SaleId = NewType("SaleId", str)
"""A slug: 1 to 64 of a-z, 0-9 and '-', not starting with '-'."""

Sku = NewType("Sku", str)

CustomerId = NewType("CustomerId", str)

ReservationId = NewType("ReservationId", str)
"""`<sale id>.<24 hex digits>`: it contains its sale, so that finding the sale needs no lookup."""

MinorUnits = NewType("MinorUnits", int)
"""Money in the currency's smallest unit, for example cents."""

Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch, by Valkey's clock."""


class KeyScope(StrEnum):
    """The owner of an idempotency key that is not the shop's own."""

    BUYER = "buyer"
    SHADOW = "shadow"


class ScopedKey(NamedTuple):
    """An idempotency key within a scope. It never equals a key of the shop, whatever text the caller sends.

    Parameters:
        parts: the names that make the key unique within its scope, for example the customer and the key.
    """

    scope: KeyScope
    parts: tuple[str, ...]


Key = str | ScopedKey
"""An idempotency key; a plain string is a key of the shop."""


def public_sale(sale: SaleId) -> SaleId:
    """Return the id by which the shop and its buyers know a sale or a shard of it: see shards.py."""
    if "~" in sale:
        sale = SaleId(sale[: sale.index("~")])
    return sale


_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

_SHARD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}(?:~[1-9][0-9]{0,2})?")

_SHORT: Final = re.compile(r"[0-9a-f]{24}")

MAX_KEY: Final = 255
"""Characters of an idempotency key."""

MAX_NAME: Final = 128
"""Characters of a sku or a customer id."""


@lru_cache(maxsize=4096)  # few sales, many buyers
def is_sale_id(text: str) -> bool:
    """Return True for a text that can be a sale's id."""
    return _SLUG.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_shard_id(text: str) -> bool:
    """Return True for a text that can be the id of a sale or of a shard of a spread sale."""
    return _SHARD.fullmatch(text) is not None


def is_str(value: object) -> TypeGuard[str]:
    """Return True for a text that every encoder accepts: a plain str or a member of a StrEnum."""
    return type(value) is str or isinstance(value, StrEnum)


def split_reservation_id(text: object) -> tuple[SaleId, str] | None:
    """Return the sale (or its shard) and the short id in a reservation id; None when the text can't be
    one."""
    if not is_str(text):
        return None
    sale, dot, short = text.partition(".")
    if dot and is_shard_id(sale) and _SHORT.fullmatch(short):
        return SaleId(sale), short
    return None


def is_name(text: str) -> bool:
    """Return True for a text that can be a sku or a customer id: printable, so safe to show and to log."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()
