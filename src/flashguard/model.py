"""The nouns: sale, item, line, reservation, outcome. No I/O, no framework."""

import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, NewType, TypeGuard

from msgspec import Struct

from flashguard.errors import Code
from flashguard.rules import NO_RULES, Rules

SaleId = NewType("SaleId", str)
"""A slug: 1 to 64 of a-z, 0-9 and '-', not starting with '-'."""
Sku = NewType("Sku", str)
CustomerId = NewType("CustomerId", str)
ReservationId = NewType("ReservationId", str)
"""`<sale id>.<24 hex digits>`: names its sale, so that nothing is looked up to find it."""
MinorUnits = NewType("MinorUnits", int)
"""Money in the currency's smallest unit, for example cents."""
Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch, by the memory server's clock."""

MAX_LINES: Final = 50
"""Lines in one basket."""
MAX_QUANTITY: Final = 1_000_000
"""Units on one line; keeps every sum far below 2**53, the largest integer Lua holds exactly."""
MAX_PRICE_MINOR: Final = 100_000_000_000
"""The largest price; times `MAX_LINES` and `MAX_QUANTITY` it stays below 2**63, as a bigint must."""
MAX_STOCK: Final = 1_000_000_000
"""Units of one item, for the same reason."""

EARLIEST_TIME_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z: the first time that a sale may name, in milliseconds since the Unix epoch."""
LATEST_TIME_MS: Final = 253_370_764_799_000
"""9998-12-31T23:59:59Z: the last one, so that no offset and no rounding leaves what a date can be. A whole
second, for PostgreSQL's to_timestamp makes 59.999008 s of 59.999 s there, and the ledger refuses that."""


class KeyScope(StrEnum):
    """Whose idempotency keys these are, where they are not the shop's own."""

    BUYER = "buyer"
    SHADOW = "shadow"


class ScopedKey(NamedTuple):
    """An idempotency key within a scope. It never equals a key of the shop, whatever text a caller sends.

    Parameters:
        parts: the names that make the key unique within its scope, for example the customer and their key.
    """

    scope: KeyScope
    parts: tuple[str, ...]


Key = str | ScopedKey
"""An idempotency key: of the shop where it is text."""


class SaleStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class ReservationStatus(StrEnum):
    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Durability(StrEnum):
    """What a hold has reached before it is answered."""

    MEMORY = "memory"
    DISK = "disk"
    REPLICATED = "replicated"
    LEDGER = "ledger"


class RoomMode(StrEnum):
    """In which order a waiting room admits those who came before the opening."""

    LOTTERY = "lottery"
    FIFO = "fifo"


class WaitingRoom(Struct, frozen=True, kw_only=True):
    """How a sale lets its buyers in: so many a second, so many at once, each for so long."""

    mode: RoomMode = RoomMode.LOTTERY
    admit_per_second: float = 50.0
    max_active: int = 1_000
    session_seconds: int = 300
    max_waiting: int = 1_000_000
    proof_of_work: bool = False
    commitment: str | None = None
    """SHA-256 of the lottery's seed, in hex."""


class Line(Struct, frozen=True):
    """So many units of one item."""

    sku: Sku
    quantity: int


class Item(Struct, frozen=True, kw_only=True):
    """One thing on sale. `stock = available + held + sold`, always."""

    sku: Sku
    name: str
    price_minor: MinorUnits
    currency: str
    stock: int
    held: int = 0
    sold: int = 0

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


class Sale(Struct, frozen=True, kw_only=True):
    """A sale with its rules and items. `hold_seconds` is how long a hold lasts."""

    id: SaleId
    name: str
    status: SaleStatus
    items: tuple[Item, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hold_seconds: int = 120
    limit_per_customer: int | None = None
    hold_durability: Durability = Durability.DISK
    effective_hold_durability: Durability | None = None
    """What an answered hold has really reached, as memory's server is configured now; None: not known."""
    waiting_room: WaitingRoom | None = None
    rules: Rules = NO_RULES
    created_at: datetime | None = None
    spread: int = 1
    """Over how many partitions its stock and its buyers are."""


class Reservation(Struct, frozen=True, kw_only=True):
    """Units set aside for one customer. A confirmed reservation is an order and keeps its id."""

    id: ReservationId
    sale_id: SaleId
    customer: CustomerId
    status: ReservationStatus
    items: tuple[Line, ...]
    created_at: datetime
    expires_at: datetime | None = None
    confirmed_at: datetime | None = None
    receipt: str | None = None


class CancelledOrder(Reservation, frozen=True, kw_only=True):
    """An order that was taken back. `restocked`: its units went on sale again; else they left the stock."""

    cancelled_at: datetime
    restocked: bool
    cancel_reason: str


class Amount(Struct, frozen=True):
    """Money in the currency's minor unit."""

    currency: str
    amount_minor: int


class Refund(Struct, frozen=True, kw_only=True):
    """What a shop that was paid for a hold should give back: the units at the sale's prices, per currency."""

    items: tuple[Line, ...]
    amounts: tuple[Amount, ...]


class Granted(Struct, frozen=True):
    """The request took effect. `replayed`: it had taken effect before, under the same key."""

    reservation: Reservation
    replayed: bool = False


class Refused(Struct, frozen=True, kw_only=True):
    """The request took nothing. `detail` is one sentence for a human; the rest is what the code calls for."""

    code: Code
    detail: str = ""
    sku: str | None = None
    available: int | None = None
    limit: int | None = None
    retry_after_seconds: float | None = None
    refund: Refund | None = None


Outcome = Granted | Refused


def unknown_sale(sale: str) -> Refused:
    """Return the refusal of a call about a sale that does not exist; it names the sale."""
    return Refused(code=Code.UNKNOWN_SALE, detail=f"There is no sale {public_sale(SaleId(sale))!r}.")


KINDS_WITH_IDS: Final = {
    Code.UNKNOWN_RESERVATION: "reservation",
    Code.UNKNOWN_ENTRY: "entry of a waiting list",
    Code.UNKNOWN_WEBHOOK: "webhook endpoint",
    Code.UNKNOWN_TICKET: "ticket",
}


def unknown(code: Code, id_: object) -> Refused:
    """Return the refusal of a call about something that does not exist; it names the id, where it is one."""
    if not is_str(id_):
        return Refused(code=code)
    return Refused(code=code, detail=f"There is no {KINDS_WITH_IDS[code]} {id_[:MAX_NAME]!r}.")


class RateKind(StrEnum):
    """What a limit on how often somebody may ask counts by."""

    ADDRESS = "address"
    KEY = "key"
    CUSTOMER = "customer"


class Position(Struct, frozen=True, order=True):
    """A place in a partition's journal: the newest entry that a reader has dealt with."""

    epoch: int
    seq: int
    token: str


def merge_lines(lines: list[Line] | tuple[Line, ...]) -> tuple[Line, ...]:
    """Adds up the quantities of lines that name the same item; keeps the order of first mention."""
    if len(lines) == 1:
        return tuple(lines)
    quantities: dict[Sku, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return tuple(Line(sku, quantity) for sku, quantity in quantities.items())


@lru_cache(maxsize=4096)
def partition_of(sale: SaleId, partitions: int) -> int:
    """The partition a sale lives on: CRC-32 of its id, modulo the installation's fixed count. A part of a
    spread sale lives as many partitions further: see parts.py."""
    public, _, part = sale.partition("~")
    return (zlib.crc32(public.encode()) + int(part or 0)) % partitions


def public_sale(sale: SaleId) -> SaleId:
    """The sale that a shop and its buyers know, of a sale that may be a part of it: see parts.py."""
    if "~" in sale:
        sale = SaleId(sale[: sale.index("~")])
    return sale


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # one batch has one time
def from_millis(millis: int) -> datetime:
    """The UTC time of a server's millisecond clock reading."""
    return _EPOCH + timedelta(milliseconds=millis)  # exact, also where a float of seconds is not


def to_millis(time: datetime) -> Millis:
    """Milliseconds since the Unix epoch of an aware time."""
    return Millis(round(time.timestamp() * 1000))


def rounded_time(time: datetime | None) -> datetime | None:
    """Return the time to the millisecond, as memory keeps it."""
    return None if time is None else from_millis(to_millis(time))


def invalid_time(time: object) -> str | None:
    """Return why this can't be a time that a caller names, in a sentence; None when it can."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        return "must be a time with its offset from UTC"
    if not EARLIEST_TIME_MS <= to_millis(time) <= LATEST_TIME_MS:
        return "must be from 2000-01-01T00:00:00Z to 9998-12-31T23:59:59Z, rounded to milliseconds"
    return None


_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PART: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}(?:~[1-9][0-9]{0,2})?")
_SHORT: Final = re.compile(r"[0-9a-f]{24}")
MAX_KEY: Final = 255
"""Characters of an idempotency key."""
MAX_NAME: Final = 128
"""Characters of a sku or a customer id."""


@lru_cache(maxsize=4096)  # few sales, many buyers
def is_sale_id(text: str) -> bool:
    """Whether the text can be a sale's id."""
    return _SLUG.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_part_id(text: str) -> bool:
    """Return whether the text can be the id of a sale, or of a part of a spread one."""
    return _PART.fullmatch(text) is not None


def is_str(value: object) -> TypeGuard[str]:
    """Return whether this is text that every encoder takes: a plain str, or a member of a StrEnum."""
    return type(value) is str or isinstance(value, StrEnum)


def split_reservation_id(text: object) -> tuple[SaleId, str] | None:
    """The sale, or the part of it, and the short id of a reservation id; None when it can't be one."""
    if not is_str(text):
        return None
    sale, dot, short = text.partition(".")
    if dot and is_part_id(sale) and _SHORT.fullmatch(short):
        return SaleId(sale), short
    return None


_LISTS: Final = (list, tuple)


def invalid_basket(sale: str, customer: str, lines: Sequence[Line]) -> str | None:
    """Why this can't be a request at all, in a sentence; None when it can."""
    if (type(sale) is not str and not is_str(sale)) or not is_sale_id(sale):
        return "sale: 1 to 64 of a-z, 0-9 and '-', not starting with '-'"
    if not is_name(customer):
        return f"customer: 1 to {MAX_NAME} printable characters"
    if not isinstance(lines, _LISTS) or not 1 <= len(lines) <= MAX_LINES:
        return f"items: 1 to {MAX_LINES} lines"
    for line in lines:
        if type(line) is not Line:
            return "items: every one must be a Line"
        sku, quantity = line.sku, line.quantity
        if (type(sku) is not str and not is_str(sku)) or not is_name(sku):
            return f"sku: 1 to {MAX_NAME} printable characters"
        if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
            return f"quantity: a whole number from 1 to {MAX_QUANTITY}"
    return None


def is_name(text: str) -> bool:
    """Whether the text can be a sku or a customer id: printable, so that it can be shown and logged."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()
