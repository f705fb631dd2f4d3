"""Ids and names: how they are spelled, how long they may be, and what they tell."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, NewType, TypeGuard

SaleId = NewType("SaleId", str)
"""A slug: 1 to 64 of a-z, 0-9 and '-', not starting with '-'."""

Sku = NewType("Sku", str)

CustomerId = NewType("CustomerId", str)

ReservationId = NewType("ReservationId", str)
"""`<sale id>.<24 hex digits>`: names its sale, so that nothing is looked up to find it."""

MinorUnits = NewType("MinorUnits", int)
"""Money in the currency's smallest unit, for example cents."""

Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch, by the memory server's clock."""


class KeyScope(StrEnum):
    """Whose idempotency keys these are, where they are not the shop's own."""

    BUYER = "buyer"
    SHADOW = "shadow"


class ScopedKey(NamedTuple):
    """An idempotency key within a scope. It never equals a key of the shop, whatever text a caller sends.

    Parameters:
        parts: the names that make the key unique within its scope, for example the customer and their key.
    """

    scope: KeyScope
    parts: tuple[str, ...]


Key = str | ScopedKey
"""An idempotency key: of the shop where it is text."""


def public_sale(sale: SaleId) -> SaleId:
    """The sale that a shop and its buyers know, of a sale that may be a part of it: see shards.py."""
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
    """Whether the text can be a sale's id."""
    return _SLUG.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_shard_id(text: str) -> bool:
    """Return whether the text can be the id of a sale, or of a part of a spread one."""
    return _SHARD.fullmatch(text) is not None


def is_str(value: object) -> TypeGuard[str]:
    """Return whether this is text that every encoder takes: a plain str, or a member of a StrEnum."""
    return type(value) is str or isinstance(value, StrEnum)


def split_reservation_id(text: object) -> tuple[SaleId, str] | None:
    """The sale, or the part of it, and the short id of a reservation id; None when it can't be one."""
    if not is_str(text):
        return None
    sale, dot, short = text.partition(".")
    if dot and is_shard_id(sale) and _SHORT.fullmatch(short):
        return SaleId(sale), short
    return None


def is_name(text: str) -> bool:
    """Whether the text can be a sku or a customer id: printable, so that it can be shown and logged."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()
