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


class Hold(Struct, array_like=True, tag="hold", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    fingerprint: int
    customer: CustomerId
    hold_ms: int


class Buy(Struct, array_like=True, tag="buy", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    fingerprint: int
    customer: CustomerId
    hold_ms: int = 0


class Confirm(Struct, array_like=True, tag="confirm", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int


class Release(Struct, array_like=True, tag="release", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int


class Expire(Struct, array_like=True, tag="expire", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int


class Extend(Struct, array_like=True, tag="extend", frozen=True):
    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    key: int
    customer: str
    expires_ms: int


class LateConfirm(Struct, array_like=True, tag="honour", frozen=True):
    """A hold that had expired or was lost became an order, by its receipt."""

    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    fingerprint: int
    customer: CustomerId
    hold_ms: int
    created_ms: int


class Cancel(Struct, array_like=True, tag="cancel", frozen=True):
    """An order was cancelled; its units are available again, or leave the stock."""

    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    restock: bool
    reason: str


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


class Create(Struct, array_like=True, tag="create", frozen=True):
    """A sale entered memory for the first time. `definition` is the sale with its items, as the JSON of the
    query `sale_definition`: it restores the sale in a ledger that lost it."""

    sale: SaleId
    unused: str
    lines: Lines
    at_ms: int
    definition: str


class Describe(Struct, array_like=True, tag="describe", frozen=True):
    """A field that only the ledger keeps changed: the sale's name, or the rules of its waiting room as JSON;
    '' means unchanged. Comes after the `SaleChange` of the same request."""

    sale: SaleId
    unused: str
    lines: Lines
    at_ms: int
    name: str
    room: str


class Join(Struct, array_like=True, tag="join", frozen=True):
    """An entry joined the waiting list. `lines` is the sku and the units; the lowest place is next."""

    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
    fingerprint: int
    customer: CustomerId
    place: int
    admitted: bool = False
    """True where the sale's waiting room had admitted the customer, or the sale has no room."""


class Leave(Struct, array_like=True, tag="leave", frozen=True):
    """An entry left the waiting list. `state`: offered (with a hold of this id), left, or limit-reached."""

    sale: SaleId
    id: ReservationId
    lines: Lines
    at_ms: int
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
    | Cancel
    | Restock
    | SaleChange
    | Create
    | Describe
    | Join
    | Leave
    | Rebuilt
)


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
