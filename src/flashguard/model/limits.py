"""Limits by item and by identity, and the identities that requests name.

An identity is what a shop knows of a customer beside the customer's id: a card, a telephone, an address. A
limit by identity counts all customers who name the same one together.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .names import Sku, is_str
from .sale import MAX_STOCK, IdentityLimit, Item

MAX_LIMITS: Final = 4
"""Most limits by identity of one sale."""
MAX_LIMIT_SKUS: Final = 100
"""Most items that one limit by identity names."""
MAX_ITEM_LIMITS: Final = 1_000
"""Most items of one sale with a limit of their own: each decision reads all of them."""
MAX_IDENTITY: Final = 256
"""Characters of an identity."""
BY: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""The name of a kind of identity."""
LIMIT_RULES: Final = frozenset(("item_limits", "limits"))
"""The kernel's names of the rules: see scripts/lib/limits.lua."""
IDENTITIES: Final = (
    f"identities: 1 to {MAX_LIMITS} names of a-z, 0-9, '-' and '_', each with a text of 1 to {MAX_IDENTITY} "
    "characters that are not all spaces"
)


class HashedIdentities(dict[str, str]):
    """By name, what an identity is counted by: a keyed hash of what the shop sent. A buyer's token carries
    these."""


def invalid_limits(limits: object, items: Iterable[Item]) -> str | None:
    """Return what is wrong with a sale's limits by identity, as a sentence; None when nothing is.

    Parameters:
        items: what the sale sells.
    """
    if not isinstance(limits, tuple | list) or len(limits) > MAX_LIMITS:
        return f"limits: at most {MAX_LIMITS}"
    known, names = {item.sku for item in items}, set()
    for limit in limits:
        if not isinstance(limit, IdentityLimit):
            return "limits: each must be an IdentityLimit"
        if not is_str(limit.by) or not BY.fullmatch(limit.by):
            return "limits: by: 1 to 32 of a-z, 0-9, '-' and '_', the first a letter"
        if limit.by in names:
            return f"limits: two are by {limit.by!r}"
        names.add(limit.by)
        if type(limit.units) is not int or not 1 <= limit.units <= MAX_STOCK:
            return f"limits: units: a whole number from 1 to {MAX_STOCK}"
        if not isinstance(getattr(limit, "hold_rules", None), bool):
            return "limits: hold_rules: must be True or False"
        wrong = None if limit.skus is None else _invalid_skus(limit.skus, known)
        if wrong:
            return wrong
    return None


def _invalid_skus(skus: object, known: set[Sku]) -> str | None:
    if not isinstance(skus, tuple | list) or not 1 <= len(skus) <= MAX_LIMIT_SKUS:
        return f"limits: skus: 1 to {MAX_LIMIT_SKUS}, or null for all items"
    unknown = next((sku for sku in skus if not is_str(sku) or sku not in known), None)
    if unknown is not None:
        return f"limits: skus: the sale has no item {str(unknown)[:128]!r}"
    return "limits: skus: one stands twice" if len(set(skus)) < len(skus) else None


def invalid_identities(identities: object) -> str | None:
    """Return what is wrong with a request's identities, as a sentence; None when nothing is."""
    if not isinstance(identities, Mapping) or not 1 <= len(identities) <= MAX_LIMITS:
        return IDENTITIES
    is_valid = all(is_str(by) and BY.fullmatch(by) and _is_identity(text) for by, text in identities.items())
    return None if is_valid else IDENTITIES


def _is_identity(text: object) -> bool:
    if not is_str(text) or len(text) > MAX_IDENTITY or not text.strip():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def limits_to_kernel(limits: Iterable[IdentityLimit]) -> dict[str, Any]:
    """Return the optional rules of limits by identity, by the kernel's names; False: the sale has none."""
    rule = [[limit.by, limit.units, *([] if limit.skus is None else [list(limit.skus)])] for limit in limits]
    return {"limits": rule or False, "holds_by": [limit.by for limit in limits if limit.hold_rules] or False}


def limit_rules(items: Iterable[Item], limits: Sequence[IdentityLimit]) -> dict[str, Any]:
    """Return the optional rules, by the kernel's names, of items and limits; only those that are set."""
    of_items = {item.sku: item.limit_per_customer for item in items if item.limit_per_customer}
    rules: dict[str, Any] = {"item_limits": of_items or False} | limits_to_kernel(limits)
    return {name: rule for name, rule in rules.items() if rule is not False}


def limits_from_kernel(rules: Mapping[str, Any]) -> tuple[IdentityLimit, ...]:
    """Return the limits by identity in a map of the kernel or of the ledger.

    Raises:
        ValueError: they can't be read, for example in a row edited by SQL.
    """
    found, holds_by = [], rules.get("holds_by") or []
    if not isinstance(holds_by, list):
        raise ValueError("the rule holds_by is not [by, …]")
    for limit in rules.get("limits") or ():
        if not isinstance(limit, list) or not 2 <= len(limit) <= 3 or not isinstance(limit[0], str):
            raise ValueError("the rule limits is not [[by, units, [sku, …]], …]")
        by, units, *skus = limit
        if not isinstance(units, int) or not all(isinstance(each, list) for each in skus):
            raise ValueError("the rule limits is not [[by, units, [sku, …]], …]")
        of_skus = tuple(skus[0]) if skus else None
        found.append(IdentityLimit(by, units, of_skus, hold_rules=by in holds_by))
    return tuple(found)


def with_item_limits(items: Iterable[Item], rules: Mapping[str, Any]) -> tuple[Item, ...]:
    """Return the items, each with its limit as a map of the kernel or of the ledger has it.

    Raises:
        ValueError: they can't be read.
    """
    limits = rules.get("item_limits")
    if not limits:
        return tuple(items)
    if not isinstance(limits, dict) or not all(isinstance(most, int) for most in limits.values()):
        raise ValueError("the rule item_limits is not {sku: units, …}")
    return tuple(
        msgspec.structs.replace(item, limit_per_customer=limits.get(item.sku) or None) for item in items
    )
