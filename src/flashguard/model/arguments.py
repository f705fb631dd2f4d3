"""Checks of the library's arguments: types and bounds, the same as those of the HTTP contract."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from flashguard.errors import Code

from . import (
    MAX_KEY,
    MAX_NAME,
    MAX_PRICE_MINOR,
    MAX_STOCK,
    Durability,
    Item,
    KeyScope,
    Refused,
    RoomMode,
    ScopedKey,
    WaitingRoom,
    is_name,
    is_sale_id,
    is_shard_id,
    is_str,
)
from .rules import MAX_SPREAD, Rules

MAX_ITEMS: Final = 10_000
"""Most items of one sale."""
MAX_PAGE: Final = 10_000
"""Most rows of one page."""
MAX_MILLIS: Final = 2**53
"""The largest time in milliseconds: Lua holds integers exactly up to here."""
ADMIT_LEAST: Final = 0.01
ADMIT_MOST: Final = 100_000
BOUNDS: Final = {
    "hold_seconds": (1, 86_400),
    "limit_per_customer": (1, MAX_STOCK),
    "max_held_per_customer": (1, MAX_STOCK),
    "cool_down_after": (1, 1000),
    "cool_down_seconds": (1, 604_800),
    "waiting_list": (1, 100_000),
    "waiting_list_hold_seconds": (1, 86_400),
}
"""The smallest and the largest value of each number of a sale. A test holds the HTTP contract against it."""
ROOM_BOUNDS: Final = {
    "max_active": (1, 1_000_000),
    "session_seconds": (1, 86_000),
    "max_waiting": (1, 10_000_000),
}
CHANGEABLE: Final = frozenset({"name", "starts_at", "ends_at", "hold_durability", "waiting_room", *BOUNDS})
SALE: Final = "sale: 1 to 64 of a-z, 0-9 and '-', not starting with '-'"
CURSOR: Final = "after: must be a time and an id, or None"
LIMIT: Final = f"limit: must be a whole number from 1 to {MAX_PAGE}"
KEY: Final = f"key: must be 1 to {MAX_KEY} printable characters"
_CURRENCY: Final = re.compile("[A-Z]{3}")
NAME: Final = f"must be 1 to {MAX_NAME} printable characters"


def is_text(value: object) -> bool:
    """Return True for a text that can be a name, a sku or a reason."""
    return is_str(value) and is_name(value)


def is_whole(value: object, least: int, most: int) -> bool:
    """Return True for an integer in this range; a bool is not an integer here."""
    return type(value) is int and least <= value <= most


def invalid_items(items: object) -> str | None:
    """Return the fault of the items of a new sale, as a sentence; None when there is none."""
    if not isinstance(items, list | tuple) or not 1 <= len(items) <= MAX_ITEMS:
        return f"items: must be a tuple of 1 to {MAX_ITEMS} items"
    for index, item in enumerate(items):
        fault = _invalid_item(item)
        if fault:
            return f"items[{index}]{fault}"
    if len({item.sku for item in items}) < len(items):
        return "items: each sku may appear only once"
    return None


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
    if not is_whole(item.stock, 0, MAX_STOCK):
        return f".stock: must be a whole number from 0 to {MAX_STOCK}"
    if not is_whole(item.held, 0, 0) or not is_whole(item.sold, 0, 0):
        return ": held and sold must be 0 for a new item"
    return None


def to_refusal(fault: str | None) -> Refused | None:
    """Return the refusal of a call with this fault; None when there is no fault."""
    return None if fault is None else Refused(code=Code.INVALID_REQUEST, detail=fault)


def first_wrong(*checks: tuple[bool, str]) -> str | None:
    """Return the sentence of the first check that failed; None when all passed."""
    return next((sentence for passed, sentence in checks if not passed), None)


def must(*checks: tuple[bool, str]) -> None:
    """Check the arguments of a call that can't return a refusal.

    Raises:
        ValueError: with the sentence of the first check that failed.
    """
    fault = first_wrong(*checks)
    if fault:
        raise ValueError(fault)


def is_sale(value: object) -> bool:
    """Return True for a text that can be the public id of a sale."""
    return is_str(value) and is_sale_id(value)


def is_ascii(value: object) -> bool:
    """Return True for a text that can be a token or a receipt; verifying it checks its length."""
    return is_str(value) and value.isascii()


def is_shard(value: object) -> bool:
    """Return True for a text that can be the id of a sale or of a shard of a spread sale."""
    return is_str(value) and is_shard_id(value)


def is_key(value: object) -> bool:
    """Return True for an idempotency key. On the hot path of each reservation: no generator, few calls."""
    if type(value) is str:
        return 0 < len(value) <= MAX_KEY and value.isprintable()
    if not isinstance(value, ScopedKey):
        return is_str(value) and 0 < len(value) <= MAX_KEY and value.isprintable()
    names: object = value.parts
    if type(value.scope) is not KeyScope or type(names) is not tuple:
        return False
    for name in names:
        if type(name) is not str:
            return False
        if not name.isascii():  # a customer id may contain joiners, which are not printable
            try:
                name.encode()
            except UnicodeEncodeError:
                return False
    return True


def is_one_of(value: object, words: type[StrEnum]) -> bool:
    """Return True for a text that is one of these words."""
    return is_str(value) and value in tuple(words)


def is_time(value: object) -> bool:
    """Return True for a time with its offset from UTC, as in a cursor."""
    return isinstance(value, datetime) and value.utcoffset() is not None


def is_cursor(value: object) -> bool:
    """Return True for a cursor, after which a page begins: a time and an id, or None."""
    if value is None:
        return True
    return isinstance(value, tuple) and len(value) == 2 and is_time(value[0]) and is_text(value[1])


def invalid_new_sale(new: object) -> str | None:
    """Return the fault of a new sale, as a sentence; None when there is none. Times are checked elsewhere."""
    fields = {name: getattr(new, name, None) for name in ("hold_seconds", "limit_per_customer")}
    rules, room = getattr(new, "rules", None), getattr(new, "waiting_room", None)
    fault = first_wrong(
        (isinstance(rules, Rules), "rules: must be Rules"),
        (is_text(getattr(new, "name", None)), f"name: {NAME}"),
        (
            is_one_of(getattr(new, "hold_durability", None), Durability),
            f"hold_durability: {', '.join(Durability)}",
        ),
        (is_whole(getattr(new, "spread", None), 1, MAX_SPREAD), f"spread: 1 to {MAX_SPREAD}"),
        (room is None or isinstance(room, WaitingRoom), "waiting_room: must be a WaitingRoom"),
    )
    if fault is None and isinstance(rules, Rules):
        fields |= {name: getattr(rules, name) for name in rules.__struct_fields__}
        fault = invalid_bounds(fields)
    if fault is None and isinstance(room, WaitingRoom):
        room_fields = {name: getattr(room, name) for name in room.__struct_fields__}
        mode = room_fields.pop("mode")
        del room_fields["commitment"]  # derived from the seed, whatever the caller gave
        fault = invalid_room(room_fields)
        if not is_one_of(mode, RoomMode):
            fault = f"waiting_room: mode: {', '.join(RoomMode)}"
    return fault or invalid_items(getattr(new, "items", None))


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
    if "waiting_room" in changes:
        fault = invalid_room(changes["waiting_room"])
        if fault:
            return fault
    return invalid_bounds(changes)


def invalid_bounds(values: Mapping[str, object]) -> str | None:
    """Return the first number of a sale that is out of its bounds, as a sentence; None when none is."""
    for name, (least, most) in BOUNDS.items():
        if name not in values or (values[name] is None and name != "hold_seconds"):
            continue
        if not is_whole(values[name], least, most):
            return f"{name}: must be a whole number from {least} to {most}"
    return None


def invalid_room(room: object) -> str | None:
    """Return the first field of a waiting room that is out of its bounds, as a sentence; None when none
    is."""
    if not isinstance(room, Mapping):
        return "waiting_room: must be a mapping of the fields to change"
    for name, value in room.items():
        if name == "proof_of_work":
            if not isinstance(value, bool):
                return "waiting_room: proof_of_work: must be True or False"
        elif name == "admit_per_second":
            if type(value) not in (int, float) or not ADMIT_LEAST <= value <= ADMIT_MOST:
                return f"waiting_room: {name}: must be a number from {ADMIT_LEAST} to {ADMIT_MOST}"
        elif name not in ROOM_BOUNDS:
            return f"waiting_room: {name!r}: can't be changed"
        elif not is_whole(value, *ROOM_BOUNDS[name]):
            least, most = ROOM_BOUNDS[name]
            return f"waiting_room: {name}: must be a whole number from {least} to {most}"
    return None
