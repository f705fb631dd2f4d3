"""Checks of the library's arguments: types and bounds, the same as those of the HTTP contract."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from flashguard.errors import Code

from . import (
    MAX_KEY,
    MAX_NAME,
    MAX_STOCK,
    Admission,
    KeyScope,
    Refused,
    RoomMode,
    ScopedKey,
    is_name,
    is_sale_id,
    is_shard_id,
    is_str,
)

MAX_ITEMS: Final = 10_000
ONE_OF_BOTH: Final = "delta: either delta, the units to add, or stock, the units that were counted"
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
    "proof_tries": (1, 4_096),
    "proof_harder_at": (1, 10_000_000),
}
CHANGEABLE: Final = frozenset(
    {"name", "starts_at", "ends_at", "hold_durability", "waiting_room", "room", "items", "limits", *BOUNDS}
)
SALE: Final = "sale: 1 to 64 of a-z, 0-9 and '-', not starting with '-'"
CURSOR: Final = "after: must be a time and an id, or None"
LIMIT: Final = f"limit: must be a whole number from 1 to {MAX_PAGE}"
KEY: Final = f"key: must be 1 to {MAX_KEY} printable characters"
ROOM_OF: Final = "room: must be the id of a sale, or None"
OWN_OR_SHARED: Final = "room: a sale has a waiting_room of its own, or shares the room of another sale"
ADMITTED_UNTIL: Final = "admitted_until: milliseconds, a whole number, or what `admitted_until` returned"
NAME: Final = f"must be 1 to {MAX_NAME} printable characters"


def is_text(value: object) -> bool:
    """Return True for a text that can be a name, a sku or a reason."""
    return is_str(value) and is_name(value)


def is_whole(value: object, least: int, most: int) -> bool:
    """Return True for an integer in this range; a bool is not an integer here."""
    return type(value) is int and least <= value <= most


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


def is_admission(value: object) -> bool:
    """Return True for what says until when a room admits a customer, in its own sale or in another one."""
    if type(value) is Admission:
        return is_admission(value.until_ms) and is_str(value.room) and is_sale_id(value.room)
    return type(value) is int and 0 <= value <= MAX_MILLIS


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


def invalid_bounds(values: Mapping[str, object]) -> str | None:
    """Return the first number of a sale that is out of its bounds, as a sentence; None when none is."""
    for name, (least, most) in BOUNDS.items():
        if name not in values or (values[name] is None and name != "hold_seconds"):
            continue
        if not is_whole(values[name], least, most):
            return f"{name}: must be a whole number from {least} to {most}"
    return None


def invalid_room(room: object, *, of_a_new_sale: bool = False) -> str | None:
    """Return the first field of a waiting room that is out of its bounds, as a sentence; None when none is.

    Parameters:
        of_a_new_sale: its mode is checked elsewhere, and its doors are not open.
    """
    if not isinstance(room, Mapping):
        return "waiting_room: must be a mapping of the fields to change"
    for name, value in room.items():
        if name in ("proof_of_work", "shared") or (name == "open_to_all" and not of_a_new_sale):
            if not isinstance(value, bool):
                return f"waiting_room: {name}: must be True or False"
        elif name == "admit_per_second":
            if type(value) not in (int, float) or not ADMIT_LEAST <= value <= ADMIT_MOST:
                return f"waiting_room: {name}: must be a number from {ADMIT_LEAST} to {ADMIT_MOST}"
        elif name == "mode" and not of_a_new_sale:
            if not is_one_of(value, RoomMode):
                return f"waiting_room: mode: {', '.join(RoomMode)}"
        elif name == "proof_harder_at" and value is None:
            continue
        elif name not in ROOM_BOUNDS:
            return f"waiting_room: {name!r}: can't be changed"
        elif not is_whole(value, *ROOM_BOUNDS[name]):
            least, most = ROOM_BOUNDS[name]
            return f"waiting_room: {name}: must be a whole number from {least} to {most}"
    return None
