"""Checks of a new sale, and of changes of one: types and bounds, the same as those of the HTTP contract."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from . import (
    MAX_PRICE_MINOR,
    MAX_STOCK,
    Durability,
    Item,
    Location,
    LocationStock,
    Pool,
    RoomMode,
    Use,
    WaitingRoom,
    is_str,
)
from .arguments import (
    CHANGEABLE,
    MAX_ITEMS,
    NAME,
    OWN_OR_SHARED,
    ROOM_OF,
    first_wrong,
    invalid_bounds,
    invalid_room,
    is_one_of,
    is_sale,
    is_text,
    is_whole,
)
from .limits import MAX_ITEM_LIMITS, invalid_limits
from .locations import MAX_LOCATIONS
from .pools import MAX_POOLS, MAX_USE, MAX_USES
from .rules import MAX_SPREAD, Rules

_CURRENCY: Final = re.compile("[A-Z]{3}")
_LIMIT: Final = f"limit_per_customer: must be a whole number from 1 to {MAX_STOCK}"


def invalid_new_sale(new: object) -> str | None:
    """Return the fault of a new sale, as a sentence; None when there is none. Times are checked elsewhere."""
    fields = {name: getattr(new, name, None) for name in ("hold_seconds", "limit_per_customer")}
    rules, room, host = (getattr(new, name, None) for name in ("rules", "waiting_room", "room"))
    fault = first_wrong(
        (isinstance(rules, Rules), "rules: must be Rules"),
        (is_text(getattr(new, "name", None)), f"name: {NAME}"),
        (
            is_one_of(getattr(new, "hold_durability", None), Durability),
            f"hold_durability: {', '.join(Durability)}",
        ),
        (is_whole(getattr(new, "spread", None), 1, MAX_SPREAD), f"spread: 1 to {MAX_SPREAD}"),
        (room is None or isinstance(room, WaitingRoom), "waiting_room: must be a WaitingRoom"),
        (host is None or is_sale(host), ROOM_OF),
        (host is None or room is None, OWN_OR_SHARED),
    )
    if fault is None and isinstance(rules, Rules):
        fields |= {name: getattr(rules, name) for name in rules.__struct_fields__}
        fault = invalid_bounds(fields)
    if fault is None and isinstance(room, WaitingRoom):
        room_fields = {name: getattr(room, name) for name in room.__struct_fields__}
        mode = room_fields.pop("mode")
        del room_fields["commitment"]  # derived from the seed, whatever the caller gave
        if room_fields["open_to_all"] is False:
            del room_fields["open_to_all"]
        fault = invalid_room(room_fields, of_a_new_sale=True)
        if not is_one_of(mode, RoomMode):
            fault = f"waiting_room: mode: {', '.join(RoomMode)}"
    fault = fault or first_wrong(
        (isinstance(getattr(new, "split", None), bool), "split: must be True or False")
    )
    fault = fault or invalid_items(*(getattr(new, name, None) for name in ("items", "pools", "locations")))
    return fault or invalid_limits(getattr(new, "limits", None), getattr(new, "items", ()))


def invalid_changes(verb: object, changes: Mapping[str, object]) -> str | None:
    """Return the fault of a change of a sale, as a sentence; None when there is none. Times are checked
    elsewhere."""
    if not is_str(verb) or verb not in ("open", "pause", "close", "patch"):
        return "verb: open, pause, close or patch"
    if changes and verb != "patch":
        return f"{next(iter(changes))}: only the verb patch can change it"
    unknown = changes.keys() - CHANGEABLE
    if unknown:
        return f"{min(unknown)}: can't be changed"
    if "name" in changes and not is_text(changes["name"]):
        return f"name: {NAME}"
    if not is_one_of(changes.get("hold_durability", Durability.DISK), Durability):
        return f"hold_durability: {', '.join(Durability)}"
    if changes.get("room") is not None and not is_sale(changes["room"]):
        return ROOM_OF
    if changes.get("room") is not None and changes.get("waiting_room") is not None:
        return OWN_OR_SHARED
    if changes.get("waiting_room") is not None:
        fault = invalid_room(changes["waiting_room"])
        if fault:
            return fault
    if "items" in changes:
        fault = invalid_items(changes["items"])
        if fault:
            return fault
    return invalid_bounds(changes)


def invalid_items(items: object, pools: object = (), locations: object = ()) -> str | None:
    """Return the fault of the items, pools and locations of a new sale, as a sentence; None when there is
    none."""
    if not isinstance(items, list | tuple) or not 1 <= len(items) <= MAX_ITEMS:
        return f"items: must be a tuple of 1 to {MAX_ITEMS} items"
    if not isinstance(pools, list | tuple) or len(pools) > MAX_POOLS:
        return f"pools: must be a tuple of at most {MAX_POOLS} pools"
    for index, pool in enumerate(pools):
        fault = _invalid_pool(pool)
        if fault:
            return f"pools[{index}]{fault}"
    if not isinstance(locations, list | tuple) or len(locations) > MAX_LOCATIONS:
        return f"locations: must be a tuple of at most {MAX_LOCATIONS} locations"
    fault = _invalid_locations(locations)
    if fault:
        return fault
    known, places = {pool.id for pool in pools}, {location.id for location in locations}
    for index, item in enumerate(items):
        fault = _invalid_item(item) or _invalid_uses(item.uses, known) or _invalid_places(item, places)
        if fault:
            return f"items[{index}]{fault}"
    if len({item.sku for item in items}) < len(items):
        return "items: each sku may appear only once"
    if sum(item.limit_per_customer is not None for item in items) > MAX_ITEM_LIMITS:
        return f"items: at most {MAX_ITEM_LIMITS} may have a limit_per_customer"
    if len(known | {item.sku for item in items}) < len(pools) + len(items):
        return "pools: each name may appear only once, and no sku may have it"
    if len(places) * sum(1 for item in items if item.locations) > MAX_ITEMS:
        return f"locations: times the items that have stock at them at most {MAX_ITEMS}"
    return None


def _invalid_locations(locations: list[object] | tuple[object, ...]) -> str | None:
    for index, location in enumerate(locations):
        if not isinstance(location, Location):
            return f"locations[{index}]: must be a Location"
        if not is_text(location.id) or not is_text(location.name):
            return f"locations[{index}]: id and name: {NAME}"
    if len({location.id for location in locations if isinstance(location, Location)}) < len(locations):
        return "locations: each id may appear only once"
    return None


def _invalid_places(item: Item, places: Collection[str]) -> str | None:
    if not isinstance(item.locations, list | tuple) or not all(
        isinstance(each, LocationStock) for each in item.locations
    ):
        return ".locations: must be a tuple of LocationStock"
    for each in item.locations:
        if not is_str(each.id) or each.id not in places:
            return f".locations: the sale has no location {each.id!r}"
        if not is_whole(each.stock, 0, MAX_STOCK):
            return f".locations: stock must be a whole number from 0 to {MAX_STOCK}"
        if not is_whole(each.held, 0, 0) or not is_whole(each.sold, 0, 0):
            return ".locations: held and sold must be 0 for a new item"
    if len({each.id for each in item.locations}) < len(item.locations):
        return ".locations: each location may appear only once"
    if item.locations and (item.uses or item.stock is not None):
        return ".locations: an item with stock at locations has no other stock, and uses no pools"
    return None


def _invalid_pool(pool: object) -> str | None:
    if not isinstance(pool, Pool):
        return ": must be a Pool"
    if not is_text(pool.id) or pool.id in (".", ".."):
        return f".id: {NAME}, and not . or .."
    if not is_text(pool.name):
        return f".name: {NAME}"
    if not is_whole(pool.stock, 0, MAX_STOCK):
        return f".stock: must be a whole number from 0 to {MAX_STOCK}"
    if not is_whole(pool.held, 0, 0) or not is_whole(pool.sold, 0, 0):
        return ": held and sold must be 0 for a new pool"
    return None


def _invalid_uses(uses: object, pools: Collection[str]) -> str | None:
    if (
        not isinstance(uses, list | tuple)
        or len(uses) > MAX_USES
        or not all(isinstance(u, Use) for u in uses)
    ):
        return f".uses: must be a tuple of at most {MAX_USES} uses"
    for use in uses:
        if not is_str(use.pool) or use.pool not in pools:
            return f".uses: the sale has no pool {use.pool!r}"
        if not is_whole(use.quantity, 1, MAX_USE):
            return f".uses: quantity must be a whole number from 1 to {MAX_USE}"
    if len({use.pool for use in uses}) < len(uses):
        return ".uses: each pool may appear only once"
    return None


def invalid_item(item: object) -> str | None:
    """Return the fault of an item to add to a sale, as a sentence; None when there is none."""
    fault = _invalid_item(item)
    if fault is None and isinstance(item, Item):
        names = [each.pool for each in item.uses if isinstance(each, Use) and is_text(each.pool)]
        places = [each.id for each in item.locations if isinstance(each, LocationStock) and is_text(each.id)]
        fault = _invalid_uses(item.uses, names) or _invalid_places(item, places)
    return None if fault is None else f"item{fault}"


def invalid_item_changes(changes: Mapping[str, object]) -> str | None:
    """Return the fault of a change of an item, as a sentence; None when there is none."""
    unknown = changes.keys() - {"name", "price_minor", "limit_per_customer", "on_sale"}
    if unknown:
        return f"{min(unknown)}: can't be changed"
    if not changes:
        return "changes: name, price_minor, limit_per_customer or on_sale"
    limit = changes.get("limit_per_customer")
    return first_wrong(
        (is_text(changes.get("name", "-")), f"name: {NAME}"),
        (
            is_whole(changes.get("price_minor", 0), 0, MAX_PRICE_MINOR),
            f"price_minor: must be a whole number from 0 to {MAX_PRICE_MINOR}",
        ),
        (limit is None or is_whole(limit, 1, MAX_STOCK), _LIMIT),
        (isinstance(changes.get("on_sale", True), bool), "on_sale: must be True or False"),
    )


def _invalid_item(item: object) -> str | None:
    if not isinstance(item, Item):
        return ": must be an Item"
    if not is_text(item.sku) or item.sku in (".", ".."):
        return f".sku: {NAME}, and not . or .."
    if not is_text(item.name):
        return f".name: {NAME}"
    if not is_whole(item.price_minor, 0, MAX_PRICE_MINOR):
        return f".price_minor: must be a whole number from 0 to {MAX_PRICE_MINOR}"
    if not is_str(item.currency) or _CURRENCY.fullmatch(item.currency) is None:
        return ".currency: must be three capital letters"
    if not is_whole(item.stock, 0, MAX_STOCK) and not (item.stock is None and (item.uses or item.locations)):
        return (
            f".stock: must be a whole number from 0 to {MAX_STOCK}; only an item with uses or locations "
            "needs none"
        )
    if item.limit_per_customer is not None and not is_whole(item.limit_per_customer, 1, MAX_STOCK):
        return f".{_LIMIT}"
    if not is_whole(item.held, 0, 0) or not is_whole(item.sold, 0, 0) or item.in_pools is not None:
        return ": held and sold must be 0 for a new item, and in_pools None"
    if item.on_sale is not True:
        return ".on_sale: must be True for a new item"
    for name in ("uses", "locations"):
        if not isinstance(getattr(item, name), list | tuple):
            return f".{name}: must be a tuple"
    return None
