"""The results of the waiting list's scripts, with names."""

from typing import Any

from msgspec import Struct

from flashguard.model import CustomerId, Sku


class EntryNow(Struct, frozen=True):
    """A waiting list's entry.

    Parameters:
        as_it_was: this request changed nothing.
        place: the number of entries served before it, and itself; 0 when it does not wait. On a shard of a
            spread sale, entries of that shard alone.
        seq: the journal entry that wrote it while the ledger may lack it, else 0.
        order: its place in the order of the whole sale; 0 where the sale is not spread.
        sets_aside: units of a spread sale are set aside for it; not for one that waits behind the room.
    """

    state: str
    as_it_was: bool
    customer: CustomerId
    sku: Sku
    quantity: int
    created_ms: int
    place: int
    seq: int
    order: int = 0
    sets_aside: bool = False


class ListReported(Struct, frozen=True):
    """What a shard set aside, and which of its items have new entries.

    Parameters:
        rows: group, counter, version, … A group's units serve one order of entries: an item, or '' for all
            items that draw from pools.
    """

    room_is_empty: bool
    rows: list[Any]


class Entries(Struct, frozen=True):
    """The first entries of a group on a shard.

    Parameters:
        waits: whether any wait, also those that can't be served now.
        newest: the place of the shard's newest entry.
        offer_ms: how long an offer lasts.
        rows: place, id, sku, quantity, what it takes (or False: the quantity of the item), …
        whole_to: the rows are all up to this place; 0: they are all.
    """

    waits: bool
    newest: int
    offer_ms: int
    rows: list[Any]
    whole_to: int


class Closed(Struct, frozen=True):
    """What a shard has set aside: `rows` are counter, free units, unsold units, version, …"""

    rows: list[Any]


class OffersMade(Struct, frozen=True):
    """How many entries were offered their units, have ended, or were put off."""

    count: int


class Done(Struct, frozen=True):
    """A step whose answer says no more."""


class Counted(Struct, frozen=True):
    """Entries of a shard: those that wait, and those for an item that come before a place."""

    waiting: int
    before: int
