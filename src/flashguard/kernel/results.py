"""The scripts' results, with names: what a verb did, or its refusal.

A script answers each request with an array. The script's header lists its results; `read_result` returns the
struct of one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from flashguard.model import CustomerId, ReservationStatus, SaleStatus, Sku

from . import room_results as rooms
from .list_results import Closed, Counted, Done, Entries, EntryNow, ListReported, OffersMade
from .verbs import Verb

FlatLines = list[Any]
"""sku, quantity, sku, quantity, …"""
Prices = dict[str, int]
"""The prices that a reservation has of its own, by sku: see scripts/lib/prices.lua."""


class Refusal(Struct, frozen=True):
    """Nothing was done. `values` are what the code calls for, such as the sku and the units available."""

    code: str
    values: tuple[Any, ...] = ()


class Held(Struct, frozen=True):
    """A hold, made now or before under the same key.

    Parameters:
        durability: what the sale demands before the hold is answered; empty for the disk.
        takes: in a sale with locations, what it moves; empty where the ledger alone has it. Else None.
    """

    replayed: bool
    created_ms: int
    hold_ms: int
    ended_ms: int
    seq: int
    durability: str = ""
    takes: FlatLines | None = None
    prices: Prices | None = None


class Bought(Struct, frozen=True):
    """A direct order, made now or before under the same key.

    Parameters:
        seq: the order's journal entry while the ledger may lack it, else 0.
        takes: as in `Held`.
        prices: True: the ledger has them.
    """

    replayed: bool
    created_ms: int
    hold_ms: int
    ended_ms: int
    seq: int
    takes: FlatLines | None = None
    prices: Prices | bool | None = None


class Spread(Struct, frozen=True):
    """The request was routed for another number of shards than the sale has."""

    shards: int


class Ended(Struct, frozen=True):
    """A hold that this request confirmed or released.

    Parameters:
        more: the ledger has a reference or metadata of it.
        takes: what it moves, where units of locations are among it.
        prices: where prices of its items have changed.
    """

    customer: CustomerId
    lines: FlatLines
    created_ms: int
    hold_ms: int
    expires_ms: int
    ended_ms: int
    seq: int
    more: bool = False
    takes: FlatLines | None = None
    prices: Prices | None = None


class Cancelled(Struct, frozen=True):
    """An order that this request cancelled."""

    cancelled_ms: int
    seq: int


class Amended(Struct, frozen=True):
    """A hold or an order that this request amended.

    Parameters:
        expires_ms: 0 of an order.
        revision: how often it was amended, with this time.
        durability: of a hold, as in `Held`.
        more, takes, prices: of a hold, as in `Ended`.
        pick_up: the lines of it that name a location, flat: sku, location, …
        identities: of a hold, what limits by identity count it by.
    """

    customer: CustomerId
    lines: FlatLines
    created_ms: int
    hold_ms: int
    expires_ms: int
    fingerprint: int
    revision: int
    seq: int
    durability: str = ""
    more: bool = False
    takes: FlatLines | None = None
    pick_up: FlatLines | None = None
    identities: dict[str, str] | None = None
    prices: Prices | None = None


class AsItIs(Struct, frozen=True):
    """An earlier request did it.

    Parameters:
        seq: its journal entry while the ledger may lack it, else 0.
    """

    seq: int


class Extended(Struct, frozen=True):
    """A live hold, extended now or before under the same key.

    Parameters:
        amended: its fingerprint and revision, where it was amended; then `more`, `takes`, `pick_up`,
            `identities` and `prices` as in `Amended`.
    """

    replayed: bool
    customer: CustomerId
    lines: FlatLines
    created_ms: int
    hold_ms: int
    expires_ms: int
    amended: list[Any] | None = None


class HoldNow(Struct, frozen=True):
    """A hold as memory has it: held, or expired because it is past its end. `amended`: as in `Extended`."""

    status: ReservationStatus
    customer: CustomerId
    lines: FlatLines
    created_ms: int
    hold_ms: int
    expires_ms: int
    amended: list[Any] | None = None


class EndedBefore(Struct, frozen=True):
    """A reservation that has ended; the ledger has its content.

    Parameters:
        seq: the journal entry that ended it while the ledger may lack it, else 0.
    """

    status: ReservationStatus
    seq: int


class SaleNow(Struct, frozen=True):
    """A sale as memory has it.

    Parameters:
        counters: sku, stock, held, sold, sku, …; an item that memory can't read is left out.
        moved_away: of a shard: sku, units that left it less units that arrived, sku, …
    """

    status: SaleStatus
    starts_ms: int
    ends_ms: int
    hold_ms: int
    max_hold_ms: int
    limit: int
    counters: list[Any]
    moved_away: list[Any] = []

    @property
    def items(self) -> dict[Sku, tuple[int, int, int]]:
        """Stock, held and sold of each item."""
        flat = self.counters
        return {flat[at]: (flat[at + 1], flat[at + 2], flat[at + 3]) for at in range(0, len(flat), 4)}


class SaleChanged(Struct, frozen=True):
    """A sale's status after a change, made now or before under the same key."""

    status: SaleStatus
    replayed: bool
    seq: int


class Restocked(Struct, frozen=True):
    """An item's counters after a restock, made now or before under the same key."""

    replayed: bool
    stock: int
    held: int
    sold: int
    seq: int


class Surveyed(Struct, frozen=True):
    """What a shard has of an item.

    Parameters:
        outs: transfers that left the shard.
        ins: transfers that arrived.
        settled: no hold past its end is left to expire.
    """

    available: int
    outs: int
    ins: int
    settled: bool


Result = (
    Refusal | Held | Bought | Spread | Ended | Cancelled | Amended | AsItIs | Extended | HoldNow | EndedBefore
    | SaleNow | SaleChanged | Restocked | Surveyed | EntryNow | ListReported | Entries | Closed | OffersMade
    | Done | Counted | rooms.RoomResult
)  # fmt: skip


def _get(values: list[Any]) -> Result:
    match values:
        case ["held" | "expired" as status, customer, lines, created_ms, hold_ms, expires_ms, *amended]:
            return HoldNow(
                ReservationStatus(status), customer, lines, created_ms, hold_ms, expires_ms, *amended
            )
        case ["confirmed" | "released" | "expired" | "cancelled" as status, seq]:
            return EndedBefore(ReservationStatus(status), seq)
        case [status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, counters, *away]:
            return SaleNow(
                SaleStatus(status), starts_ms, ends_ms, hold_ms, max_hold_ms, limit, counters, *away
            )
    return _refusal(values)


def _change(values: list[Any]) -> Result:
    match values:
        case [status, bool(replayed), seq]:
            return SaleChanged(SaleStatus(status), replayed, seq)
    return _refusal(values)


def _survey(values: list[Any]) -> Result:
    return Surveyed(*values) if isinstance(values[0], int) else _refusal(values)


def _entry(values: list[Any]) -> Result:
    if values[0] == "spread":
        return Spread(values[1])
    return EntryNow(*values) if len(values) >= 8 else _refusal(values)


def _ticket(values: list[Any]) -> Result:
    match values:
        case [bool(known), epoch, "admitted", *rest]:
            return rooms.Issued(known, epoch, rooms.Admitted(*rest))
        case [bool(known), epoch, "waiting", *rest]:
            return rooms.Issued(known, epoch, rooms.InRoom(*rest))
    return _refusal(values)


def _room(values: list[Any]) -> Result:
    return rooms.RoomNow(*values) if len(values) == len(rooms.RoomNow.__struct_fields__) else _refusal(values)


def _refusal(values: list[Any]) -> Refusal:
    return Refusal(values[0], tuple(values[1:]))


BY_WORD: Final[Mapping[Verb, Mapping[str, Callable[..., Result]]]] = {
    Verb.RESERVE: {"held": Held, "confirmed": Bought, "spread": Spread},
    Verb.CONFIRM: {"confirmed": Ended, "as-it-is": AsItIs},
    Verb.RELEASE: {"released": Ended, "as-it-is": AsItIs},
    Verb.CANCEL: {"cancelled": Cancelled, "as-it-is": AsItIs},
    Verb.AMEND: {"amended": Amended, "as-it-is": AsItIs},
    Verb.EXTEND: {"held": Extended},
    Verb.RESTOCK: {"restocked": Restocked},
    Verb.POLL_TICKET: {"admitted": rooms.Admitted, "waiting": rooms.InRoom},
    Verb.LEAVE_ROOM: {"left": rooms.RoomLeft, "unknown-ticket": rooms.RoomLeft},
    Verb.ADMIT: {
        "reported": rooms.Reported,
        "units": rooms.GuestNow,
        "granted": rooms.AdmissionsGranted,
        "let-in": rooms.LetIn,
    },
    Verb.SERVE_LIST: {
        "reported": ListReported,
        "entries": Entries,
        "closed": Closed,
        "served": OffersMade,
        "settled": Done,
        "marked": Done,
        "counted": Counted,
    },
}
"""Verbs whose results begin with a word: the struct of each word; any other word is a refusal."""
BY_SHAPE: Final[Mapping[Verb, Callable[[list[Any]], Result]]] = {
    Verb.GET: _get,
    Verb.CHANGE_SALE: _change,
    Verb.CHANGE_ITEM: _change,
    Verb.SURVEY: _survey,
    Verb.WAITING_LIST: _entry,
    Verb.ISSUE_TICKET: _ticket,
    Verb.GET_ROOM: _room,
}
"""The other verbs that answer callers: how their results are told apart."""


def read_result(verb: Verb, values: list[Any]) -> Result:
    """Return the struct of one result of this verb."""
    words = BY_WORD.get(verb)
    if words is None:
        return BY_SHAPE[verb](values)
    struct = words.get(values[0])
    return _refusal(values) if struct is None else struct(*values[1:])


def read_results(verb: Verb, rows: Sequence[list[Any]]) -> list[Result]:
    """Return the struct of each result. Neighbours that are one list share a struct."""
    results: list[Result] = []
    read: list[Any] | None = None
    for values in rows:
        if values is not read:
            read, struct = values, read_result(verb, values)
        results.append(struct)
    return results
