"""A sale to create: what it must be, and how the ledger keeps it as a draft."""

import dataclasses
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flashguard.errors import Code
from flashguard.ledger import StoredSale
from flashguard.model import (
    Durability,
    IdentityLimit,
    Item,
    Location,
    Pool,
    Refused,
    Sale,
    SaleId,
    SaleStatus,
    WaitingRoom,
    invalid_time,
    rounded_time,
)
from flashguard.model.arguments import is_sale, to_refusal
from flashguard.model.fingerprints import fingerprint
from flashguard.model.locations import at_all
from flashguard.model.lottery import new_seed
from flashguard.model.rules import NO_RULES, Rules
from flashguard.model.sale_arguments import invalid_new_sale
from flashguard.spread import NO_LOCATIONS, unfit

ENDS_FIRST: Final = Refused(code=Code.INVALID_REQUEST, detail="ends_at: must be after starts_at")
ENDED: Final = Refused(
    code=Code.INVALID_REQUEST, detail="ends_at: must be in the future. To end an open sale now, close it."
)


@dataclass(frozen=True, slots=True)
class NewSale:
    """A sale to create. Without an `id`, one is made from the name."""

    name: str
    items: tuple[Item, ...]
    id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hold_seconds: int = 120
    limit_per_customer: int | None = None
    hold_durability: Durability = Durability.DISK
    waiting_room: WaitingRoom | None = None
    rules: Rules = NO_RULES
    spread: int = 1
    pools: tuple[Pool, ...] = ()
    locations: tuple[Location, ...] = ()
    split: bool = False
    limits: tuple[IdentityLimit, ...] = ()
    room: SaleId | None = None
    """The sale whose waiting room it shares."""

    def has_ended(self) -> bool:
        """Return whether its end has passed: such a sale can never open."""
        return self.ends_at is not None and self.ends_at <= datetime.now(UTC)


def refused_sale(new: object, partitions: int) -> Refused | None:
    """Return why such a sale can't be created; None where it can.

    Parameters:
        partitions: how many partitions the installation has.
    """
    if not isinstance(new, NewSale):
        return Refused(code=Code.INVALID_REQUEST, detail="new: must be a NewSale")
    if new.id is not None and not is_sale(new.id):
        return Refused(code=Code.INVALID_REQUEST, detail="id: 1 to 64 of a-z, 0-9 and '-'")
    wrong = to_refusal(invalid_new_sale(new)) or wrong_times(new.starts_at, new.ends_at)
    if wrong:
        return wrong
    if new.starts_at and new.ends_at and new.ends_at <= new.starts_at:
        return ENDS_FIRST
    if new.locations and new.spread > 1:
        return NO_LOCATIONS
    return unfit(new.spread, partitions, limits=new.limits)


def wrong_times(starts_at: object, ends_at: object) -> Refused | None:
    """Return why one of these can't be a sale's time; None where both can, or are not given."""
    for name, time in (("starts_at", starts_at), ("ends_at", ends_at)):
        wrong = None if time is None else invalid_time(time)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=f"{name}: {wrong}")
    return None


def draft(new: NewSale, sale_id: SaleId, creation_key: str | None, max_hold_seconds: int) -> StoredSale:
    """Return a valid new sale as the ledger keeps it.

    Parameters:
        creation_key: the idempotency key with the label of its entrance before it; None without one.
        max_hold_seconds: how long a hold may last with its extensions, at least.
    """
    return StoredSale(
        Sale(
            id=sale_id,
            name=new.name,
            status=SaleStatus.DRAFT,
            items=tuple(_at_all_locations(item, new.locations) for item in new.items),
            starts_at=rounded_time(new.starts_at),
            ends_at=rounded_time(new.ends_at),
            hold_seconds=new.hold_seconds,
            limit_per_customer=new.limit_per_customer,
            hold_durability=new.hold_durability,
            waiting_room=new.waiting_room,
            room=new.room,
            rules=new.rules,
            spread=new.spread,
            pools=tuple(new.pools),
            locations=tuple(new.locations),
            split=new.split,
            limits=tuple(new.limits),
        ),
        max(new.hold_seconds, max_hold_seconds),
        creation_key,
        _creation_body(new),
        None if new.waiting_room is None else new_seed(),
    )


def _at_all_locations(item: Item, locations: Iterable[Location]) -> Item:
    return msgspec.structs.replace(item, locations=at_all(item, locations)) if item.locations else item


def _creation_body(new: NewSale) -> int:
    """Return the fingerprint of a creation; of an unspread sale, as before sales could be spread, and of one
    without pools, locations, limits or a shared room, as before there were any."""
    *values, spread, pools, locations, split, limits, room = dataclasses.astuple(new)
    values[1] = [item_body(item) for item in new.items]
    more = ((spread,) if spread > 1 else ()) + ((pools,) if pools else ())
    more += ((locations, split) if locations else ()) + ((limits,) if limits else ())
    more += (room,) if room else ()
    return fingerprint("create", *values, *more)


def item_body(item: Item) -> dict[str, Any]:
    """Return what tells an item to create from another; of one without recipe, as before there were any."""
    body = msgspec.structs.asdict(item)
    del body["in_pools"], body["on_sale"]
    for name in ("uses", "locations", "limit_per_customer"):
        if not body[name]:
            del body[name]
    return body


def slug(name: str) -> str:
    """Return a sale id made from a name, with random digits so that two sales of one name differ."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{words or 'sale'}-{secrets.token_hex(3)}"
