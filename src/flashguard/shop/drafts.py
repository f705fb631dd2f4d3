"""What few sales may change: a draft's items, and whether there is a waiting room. As the kernel takes it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.errors import Code
from flashguard.model import Item, Refused, RoomMode, Sale, SaleId, SaleStatus, WaitingRoom
from flashguard.model.fingerprints import fingerprint
from flashguard.model.limits import invalid_limits, limit_rules, limits_to_kernel
from flashguard.model.lottery import new_seed
from flashguard.model.room import NEITHER, encode_room, guest_rules, room_rules
from flashguard.spread import NO_IDENTITIES

KEPT_WHILE_SPREAD: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail="spread: the items of a spread sale are divided among its shards. Close this draft, and create "
    "another.",
)


KEPT_WITH_POOLS: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail="items: those that draw from pools or locations can't be replaced. Delete this draft, and create "
    "another.",
)


NO_ROOM_TO_OPEN: Final = Refused(
    code=Code.INVALID_REQUEST, detail="open_to_all: the sale has no waiting room, and is open to all."
)
STAYS_OPEN: Final = Refused(
    code=Code.INVALID_REQUEST, detail="open_to_all: a room that was opened to all stays open."
)
STAYS_SHARED: Final = Refused(
    code=Code.INVALID_REQUEST, detail="shared: a room that other sales may share stays shared."
)
HAS_A_ROOM: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail="room: the sale has a waiting room of its own; a draft can lose it first.",
)


class RoomChange(Struct, frozen=True):
    """A change of a sale's waiting room.

    Parameters:
        rules: as the kernel keeps the room; False: the sale has no such rule.
        described: as the ledger keeps it, and the lottery's seed of a new room; see `journal.Describe`. Empty
            where the ledger keeps it among the rules.
        only: the statuses of the sales that may change like this; empty: any.
    """

    rules: dict[str, Any]
    described: tuple[str, ...]
    only: tuple[SaleStatus, ...]


def room_change(sale: Sale, changes: Mapping[str, Any]) -> RoomChange | Refused | None:
    """Return what these changes do to the sale's waiting room, or to the one that it shares; None where they
    change neither."""
    host = changes.get("room", sale.room)
    if host != sale.room:
        return _change_host(sale, host)
    if "waiting_room" not in changes:
        return None
    if host is not None:
        return _change_as_guest(host, changes["waiting_room"])
    return _change_own(sale, changes["waiting_room"])


def _change_host(sale: Sale, host: SaleId | None) -> RoomChange | Refused:
    """Return the change to sharing the room of another sale, or none. As with a room of its own, a sale comes
    into one until it opens, and a draft alone goes."""
    if sale.room is None and sale.waiting_room is not None:
        return HAS_A_ROOM
    only = (SaleStatus.DRAFT,) if sale.room is not None else (SaleStatus.DRAFT, SaleStatus.SCHEDULED)
    shared = {} if host is None else guest_rules(host, opened=False)
    return RoomChange(NEITHER | shared, (), only)


def _change_as_guest(host: SaleId, changed: Mapping[str, Any] | None) -> RoomChange | Refused:
    """Return the change of a sale that shares a room: of its own it has the doors alone."""
    if changed is None or dict(changed) != {"open_to_all": True}:
        return Refused(
            code=Code.INVALID_REQUEST,
            detail=f"waiting_room: the sale shares the room of sale {host}. Change that one; `open_to_all` "
            "opens the doors of this sale alone.",
        )
    return RoomChange(NEITHER | guest_rules(host, opened=True), (), ())


def _change_own(sale: Sale, changed: Mapping[str, Any] | None) -> RoomChange | Refused:
    """Return the change to these fields, or to no room; a refusal where the sale can't have one.

    Buyers may hold tickets of a room as soon as the sale is scheduled. So a sale gets a room only until it
    opens, and loses it only by opening it to all.
    """
    before = sale.waiting_room
    if changed is None:
        return RoomChange(NEITHER | _version(sale, "null"), ("null",), (SaleStatus.DRAFT,))
    room = msgspec.structs.replace(before or WaitingRoom(), **changed)
    room = msgspec.structs.replace(room, mode=RoomMode(room.mode))
    if room.open_to_all and before is None:
        return NO_ROOM_TO_OPEN
    if before and before.open_to_all and not room.open_to_all:
        return STAYS_OPEN
    if before and before.shared and not room.shared:
        return STAYS_SHARED
    only: tuple[SaleStatus, ...] = ()
    if before is None:
        only = (SaleStatus.DRAFT, SaleStatus.SCHEDULED)
    elif room.mode != before.mode:
        only = (SaleStatus.DRAFT,)
    described = (encode_room(room), *(() if before else (new_seed(),)))
    rules = NEITHER | room_rules(room, opened=False) | _version(sale, described[0])
    return RoomChange(rules, described, only)


def _version(sale: Sale, described: str) -> dict[str, Any]:
    """Return the rule that tells a shard's room from an older one. The ledger has the room of all shards at
    once, and cannot tell which of them know it already."""
    return {"room_version": fingerprint(described)} if sale.spread > 1 else {}


LIMITS_FIXED: Final = Refused(
    code=Code.SALE_NOT_DRAFT,
    detail="limits: of a sale that is no draft only the units can change; nothing was counted for others.",
)


def not_counted(sku: str) -> Refused:
    """Return the refusal of a limit of an item that was sold without one."""
    return Refused(
        code=Code.SALE_NOT_DRAFT, sku=sku,
        detail=f"limit_per_customer: units of {sku!r} are held or sold, and were not counted by customer.",
    )  # fmt: skip


def changed_limits(changes: Mapping[str, Any], sale: Sale) -> dict[str, Any] | Refused:
    """Return the kernel's rules that a change of items and limits changes; False removes a rule."""
    if "items" not in changes and "limits" not in changes:
        return {}
    items = changes.get("items", sale.items)
    limits = changes.get("limits", sale.limits)
    limits = () if limits is None else limits
    wrong = invalid_limits(limits, items)
    if wrong:
        return Refused(code=Code.INVALID_REQUEST, detail=wrong)
    if limits and sale.spread > 1:
        return NO_IDENTITIES
    changed: dict[str, Any] = {}
    if "items" in changes:
        changed["item_limits"] = limit_rules(items, ()).get("item_limits", False)
    if "limits" in changes:
        changed |= limits_to_kernel(limits)
    return changed


def kernel_items(items: Sequence[Item]) -> tuple[list[str], str]:
    """Return a draft's new items as memory keeps them, and as the ledger does."""
    fields = [text for item in items for text in (f"item:{item.sku}", f"{item.stock} 0 0")]
    return fields, msgspec.json.encode(items).decode()


def not_draft(status: str) -> Refused:
    """Return the refusal of a change that only a draft may have."""
    return Refused(code=Code.SALE_NOT_DRAFT, detail=f"The sale is {status}.")
