"""The journal's codec: entries, their transitions, and the recorder's announcements.

An entry is written by one kernel call and holds all transitions of that batch, in order. Its id is
`<epoch>-<sequence>`, contiguous within an epoch; it names itself by a random token and names the entry
before it, so that two histories which gave out the same ids can never be mistaken for one.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from flashguard.model import CustomerId, Position, ReservationId, SaleId, Sku

Lines = list[Any]
"""Flat, as the kernel keeps them: sku, quantity, sku, quantity, …"""
Details = dict[str, Any]
"""What few reservations have, by name; absent names are absent. `takes`: the counters that it moves where
those are not its lines, flat: counter, quantity, …; `pick_up`: of lines that name a location, flat: sku,
location, …; `revision`: how often it was amended; `cancelled`: the items of an order that were cancelled,
flat; `identities`: what limits by identity count it by"""


class OfReservation(Struct, array_like=True, frozen=True):
    """How a transition of a reservation or of a waiting list's entry begins."""

    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int


class Hold(OfReservation, tag="hold", frozen=True):
    fingerprint: int
    customer: CustomerId
    hold_ms: int
    details: Details | None = None


class Buy(OfReservation, tag="buy", frozen=True):
    fingerprint: int
    customer: CustomerId
    hold_ms: int = 0
    details: Details | None = None


class Confirm(OfReservation, tag="confirm", frozen=True):
    takes: Lines | None = None


class Release(OfReservation, tag="release", frozen=True):
    takes: Lines | None = None


class Expire(OfReservation, tag="expire", frozen=True):
    takes: Lines | None = None


class Extend(OfReservation, tag="extend", frozen=True):
    key: int
    customer: str
    expires_ms: int


class LateConfirm(OfReservation, tag="honour", frozen=True):
    """A hold that had expired or was lost became an order, by its receipt."""

    fingerprint: int
    customer: CustomerId
    hold_ms: int
    created_ms: int
    details: Details | None = None


class Amend(OfReservation, tag="amend", frozen=True):
    """A hold or an order has another basket from now on, or a hold another customer. `moves` is what changes,
    flat with signs. Units that an order has fewer are available again, or leave the stock."""

    key: str
    fingerprint: int
    customer: CustomerId
    revision: int
    is_order: bool
    moves: Lines
    restock: bool
    reason: str
    details: Details | None = None


class Cancel(OfReservation, tag="cancel", frozen=True):
    """An order was cancelled; its units are available again, or leave the stock. `key` and `body`: of a
    request to cancel items, where they were all that was left."""

    restock: bool
    reason: str
    takes: Lines | None = None
    key: str | None = None
    body: int | None = None


class Restock(Struct, array_like=True, tag="restock", frozen=True):
    """An item's stock changed. `lines` is the sku and the signed number of units; stock, held and sold are
    the counters after it."""

    sale: SaleId
    key: str
    lines: Lines
    at_ms: int
    fingerprint: int
    reason: str
    unused: int
    stock: int
    held: int
    sold: int


class SaleChange(Struct, array_like=True, tag="sale", frozen=True):
    """A sale's status and rules from now on; 0 means none. `verb` and `key` are the request's."""

    sale: SaleId
    status: str
    lines: Lines
    at_ms: int
    starts_ms: int
    key: str
    ends_ms: int
    hold_ms: int
    max_hold_ms: int
    limit: int
    durability: str = ""
    verb: str = ""
    rules: dict[str, Any] = msgspec.field(default_factory=dict)


class OfSale(Struct, array_like=True, frozen=True):
    """How a transition of a sale begins that changes what only the ledger keeps."""

    sale: SaleId
    unused: str
    lines: Lines
    at_ms: int


class Create(OfSale, tag="create", frozen=True):
    """A sale entered memory for the first time. `definition` is the sale with its items, as the JSON of the
    query `sale_definition`: it restores the sale in a ledger that lost it."""

    definition: str


class Describe(OfSale, tag="describe", frozen=True):
    """A field that only the ledger keeps changed: the sale's name, or the rules of its waiting room as JSON;
    '' means unchanged. Comes after the `SaleChange` of the same request. `seed` is the lottery's, of a room
    that a draft gets; the JSON `null` takes its room away."""

    name: str
    room: str
    seed: str | None = None


class Items(OfSale, tag="items", frozen=True):
    """A draft's items were replaced. `definition` is a JSON list of all of them. Comes after the `SaleChange`
    of the same request."""

    definition: str


class ItemChange(Struct, array_like=True, tag="item", frozen=True):
    """An item was added, changed or removed. `row` is what the ledger writes, as JSON: of `add` a list of
    rows, of `set` the fields that change. `opened`: the sale is no draft, so a price is one of the item's
    own; see scripts/lib/prices.lua. `verb` and `status` are what the request's key keeps."""

    sale: SaleId
    key: str
    lines: Lines
    at_ms: int
    what: str
    sku: Sku
    row: str
    opened: bool
    verb: str
    status: str


class Delete(OfSale, tag="delete", frozen=True):
    """A draft was deleted."""


class Join(OfReservation, tag="join", frozen=True):
    """An entry joined the waiting list. `lines` is the sku and the units; the lowest place is next."""

    fingerprint: int
    customer: CustomerId
    place: int
    admitted: bool = False
    """True where the sale's waiting room had admitted the customer, or the sale has no room."""
    identities: dict[str, str] | None = None
    """Name to what it counts by: see `kernel/scripts/lib/limits.lua`."""


class Leave(OfReservation, tag="leave", frozen=True):
    """An entry left the waiting list. `state`: offered (with a hold of this id), left, or limit-reached."""

    state: str


class Rebuilt(Struct, array_like=True, tag="rebuilt", frozen=True):
    """The first entry of an epoch: memory was rebuilt from the ledger."""

    sale: str
    why: str
    lines: Lines
    at_ms: int


Transition = (
    Hold
    | Buy
    | Confirm
    | Release
    | Expire
    | Extend
    | LateConfirm
    | Amend
    | Cancel
    | Restock
    | SaleChange
    | Create
    | Describe
    | Items
    | ItemChange
    | Delete
    | Join
    | Leave
    | Rebuilt
)


def takes_of(transition: Hold | Buy | LateConfirm | Confirm | Release | Expire | Amend | Cancel) -> Lines:
    """Return what a transition moves: its lines, unless it says otherwise."""
    if isinstance(transition, Amend):
        return transition.moves
    if isinstance(transition, Hold | Buy | LateConfirm):
        details = transition.details
        return transition.lines if details is None else details.get("takes", transition.lines)
    return transition.lines if transition.takes is None else transition.takes


class Counters(Struct, array_like=True, frozen=True):
    """An item's counters after the entry."""

    sale: SaleId
    sku: Sku
    stock: int
    held: int
    sold: int


class EntryBody(Struct, array_like=True, frozen=True):
    """The content of an entry."""

    at_ms: int
    transitions: list[Transition]
    counters: list[Counters]


class Entry(Struct, frozen=True):
    """One journal entry, decoded."""

    epoch: int
    seq: int
    token: str
    previous: str
    body: EntryBody

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq, self.token)

    def follows(self, position: Position) -> bool:
        """Return whether this entry is the next one of the same history."""
        return (
            self.epoch == position.epoch and self.seq == position.seq + 1 and self.previous == position.token
        )


class BrokenEntry(Exception):
    """An entry can't be decoded."""


_decode_body = msgspec.msgpack.Decoder(EntryBody).decode


def decode_entry(raw_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Decode a stream entry as the client returns it.

    Raises:
        BrokenEntry: the id, a field or the body is not what the kernel writes.
    """
    try:
        epoch, seq = raw_id.split(b"-")
        return Entry(
            int(epoch), int(seq), fields[b"t"].decode(), fields[b"p"].decode(), _decode_body(fields[b"d"])
        )
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise BrokenEntry(f"journal entry {raw_id!r}: {error}") from error


def decode_sound(raw: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> tuple[list[Entry], str | None]:
    """Return the entries up to the first that can't be decoded, and what is wrong with that one."""
    entries: list[Entry] = []
    for raw_entry in raw:
        try:
            entries.append(decode_entry(*raw_entry))
        except BrokenEntry as error:
            return entries, str(error)
    return entries, None


class Announcement(Struct, array_like=True, frozen=True):
    """One group that the recorder committed: (seq, token) of every entry, and the orders that it refused."""

    epoch: int
    entries: list[tuple[int, str]]
    refused: list[ReservationId]


decode_announcement = msgspec.json.Decoder(Announcement).decode


def encode_announcement(announcement: Announcement) -> str:
    """Return the announcement as it travels on the channel: JSON, since Lua's msgpack has no bytes."""
    return msgspec.json.encode(announcement).decode()


def last_position(entries: Iterable[Entry], start: Position) -> tuple[list[Entry], Position, bool]:
    """Return the run of entries that continue `start` without a gap or a foreign link.

    Returns:
        the run, the position at its end, and whether all entries belonged to it.
    """
    run: list[Entry] = []
    position = start
    for entry in entries:
        if not entry.follows(position):
            return run, position, False
        run.append(entry)
        position = entry.position
    return run, position, True
