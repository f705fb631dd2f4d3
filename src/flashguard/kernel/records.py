"""The records that a sale's keys keep, with names: see scripts/lib/records.lua, which has the layout in Lua.

The recorder writes records when it loads a sale; an operator's commands read them past a fence.
"""

import contextlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.model import CustomerId, Sku

from .errors import MemoryBroken

FlatLines = list[Any]
"""sku, quantity, sku, quantity, …"""


class RecordStatus(IntEnum):
    """The first value of a reservation's record."""

    HELD = 1
    CONFIRMED = 2
    RELEASED = 3
    EXPIRED = 4
    CANCELLED = 5


class HoldRecord(Struct, array_like=True, frozen=True):
    """A live hold. `extensions`: key fingerprint, expires_ms, key fingerprint, …; `kept`: see `kept_of`."""

    status: int
    fingerprint: int
    created_ms: int
    hold_ms: int
    lasts_ms: int
    customer: CustomerId
    lines: FlatLines
    extensions: list[int] = []
    kept: dict[str, Any] | None = None

    @property
    def expires_ms(self) -> int:
        return self.created_ms + self.lasts_ms


class EndedRecord(Struct, array_like=True, frozen=True):
    """A reservation that has ended. `seq`: the journal entry that wrote the record; `revision`: how often it
    was amended."""

    status: int
    fingerprint: int
    created_ms: int
    hold_ms: int
    lasted_ms: int
    seq: int = 0
    revision: int = 0

    @property
    def ended_ms(self) -> int:
        return self.created_ms + self.lasted_ms


class RestockRecord(Struct, array_like=True, frozen=True, tag="restock"):
    """The counters after the restock of a key."""

    fingerprint: int
    stock: int
    held: int
    sold: int
    seq: int = 0


class ChangeRecord(Struct, array_like=True, frozen=True, tag="sale-change"):
    """The sale's status after the change of a key."""

    verb: str
    status: str
    unused: int = 0
    unused_too: int = 0
    seq: int = 0


class AmendRecord(Struct, array_like=True, frozen=True, tag="amend"):
    """What the amend of a key made of a reservation."""

    fingerprint: int
    id: str
    revision: int
    seq: int
    customer: CustomerId
    lines: FlatLines
    details: dict[str, Any] | None = None


class MovedRecord(Struct, array_like=True, frozen=True, tag="moved"):
    """An item's transfers from and to a shard."""

    outs: int
    ins: int
    units_out: int
    units_in: int


class EntryRecord(Struct, array_like=True, frozen=True, tag="waiting"):
    """A waiting list's entry."""

    fingerprint: int
    state: str
    created_ms: int
    place: int
    seq: int
    customer: CustomerId
    sku: Sku
    quantity: int
    admitted: bool = False
    identities: dict[str, str] | None = None


class PlaceRecord(Struct, array_like=True, frozen=True, tag="place"):
    """The newest place of the waiting list."""

    newest: int


class WaitsRecord(Struct, array_like=True, frozen=True):
    """The id of the entry with which a customer waits."""

    id: str


class ConfigRecord(Struct, array_like=True, frozen=True):
    """A sale's status and rules. `durability`: of its holds, empty for the disk."""

    status: str
    starts_ms: int
    ends_ms: int
    hold_ms: int
    max_hold_ms: int
    limit: int
    durability: str = ""
    rules: dict[str, Any] = {}


Record = (
    HoldRecord | EndedRecord | RestockRecord | ChangeRecord | AmendRecord | MovedRecord | EntryRecord
    | PlaceRecord | WaitsRecord
)  # fmt: skip
BY_KIND: Final[dict[str, type[Record]]] = {
    "restock": RestockRecord,
    "sale-change": ChangeRecord,
    "amend": AmendRecord,
    "moved": MovedRecord,
    "waiting": EntryRecord,
    "place": PlaceRecord,
}
LENGTHS: Final = (6, 7, 9, 8, 10, 5, 2, 1, 11)
"""Numbers of values that a record may have, the most frequent first."""
CONFIG_LENGTHS: Final = (6, 7, 8)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def kept_of(details: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a hold's record keeps of its details, as kept_of in lib/records.lua does; None: nothing."""
    names = ("takes", "pick_up", "prices", "identities", "revision")
    kept = {name: details[name] for name in names if name in details}
    if "reference" in details or "metadata" in details:
        kept["more"] = True
    return kept or None


def read_record(blob: bytes) -> Record:
    """Return the record of a reservation, a key or an entry.

    Raises:
        MemoryBroken: it can't be read.
    """
    kind, *values = _unpacked(blob, LENGTHS)
    try:
        if kind == RecordStatus.HELD:
            return HoldRecord(kind, *values)
        if isinstance(kind, int):
            return EndedRecord(kind, *values)
        return BY_KIND[kind](*values) if kind in BY_KIND else WaitsRecord(kind)
    except TypeError as error:
        raise MemoryBroken("a record can't be read") from error


def read_config(blob: bytes) -> ConfigRecord:
    """Return a sale's status and rules.

    Raises:
        MemoryBroken: they can't be read.
    """
    return ConfigRecord(*_unpacked(blob, CONFIG_LENGTHS))


def record_blob(record: Record) -> bytes:
    """Return a record as the scripts pack it: the values one after the other, without an array's head."""
    blob = _encode(record)[1:]
    lacks_last = (isinstance(record, EndedRecord) and not record.revision) or (
        isinstance(record, EntryRecord) and record.identities is None
    )
    return blob[:-1] if lacks_last else blob


def _unpacked(blob: bytes, lengths: Sequence[int]) -> list[Any]:
    for length in lengths:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return _decode(bytes((0x90 + length,)) + blob)
    raise MemoryBroken("a record can't be read")
