"""Reservations, and the outcome of a request: granted or refused, both as values."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from flashguard.errors import Code

from .names import MAX_NAME, CustomerId, ReservationId, SaleId, is_str, public_sale
from .payment import OrderPayment
from .sale import Line


class ReservationStatus(StrEnum):
    __hash__ = str.__hash__  # on the hot path: an enumeration's own hash is a call of Python

    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Reservation(Struct, frozen=True, kw_only=True):
    """Units set aside for one customer. A confirmed reservation is an order; its id stays the same."""

    id: ReservationId
    sale_id: SaleId
    customer: CustomerId
    status: ReservationStatus
    items: tuple[Line, ...]
    created_at: datetime
    expires_at: datetime | None = None
    confirmed_at: datetime | None = None
    receipt: str | None = None
    reference: str | UnsetType = UNSET
    """The shop's own; like the metadata UNSET, and in no answer, where it gave none."""
    metadata: dict[str, str] | UnsetType = UNSET
    payment: OrderPayment | UnsetType | None = UNSET
    """Of an order that was listed or read as one: None without a payment; else UNSET."""


class AmendedOrder(Reservation, frozen=True, kw_only=True):
    """An order of which some items were cancelled; `items` are those that are left."""

    cancelled_items: tuple[Line, ...]


class CancelledOrder(Reservation, frozen=True, kw_only=True):
    """A cancelled order. `restocked`: True when its units are on sale again, False when they left the
    stock; `cancelled_items`: those that were cancelled before the rest of it, where there were any."""

    cancelled_at: datetime
    restocked: bool
    cancel_reason: str
    cancelled_items: tuple[Line, ...] | UnsetType = UNSET


class Amount(Struct, frozen=True):
    """An amount of money, in the currency's minor unit."""

    currency: str
    amount_minor: int


class Refund(Struct, frozen=True, kw_only=True):
    """The refund that a shop owes for a paid hold that it could not confirm: the units at the sale's prices,
    per currency."""

    items: tuple[Line, ...]
    amounts: tuple[Amount, ...]


class Granted(Struct, frozen=True):
    """The request took effect. `replayed`: it had already taken effect, under the same key."""

    reservation: Reservation
    replayed: bool = False


class Refused(Struct, frozen=True, kw_only=True):
    """The request changed nothing. `detail` is one sentence for a person; the other fields depend on the
    code."""

    code: Code
    detail: str = ""
    sku: str | None = None
    available: int | None = None
    pool: str | None = None
    limit: int | None = None
    used: int | None = None
    by: str | None = None
    retry_after_seconds: float | None = None
    refund: Refund | None = None


Outcome = Granted | Refused


def unknown_sale(sale: str) -> Refused:
    """Return the refusal of a call about a sale that does not exist; it names the sale's id."""
    return Refused(code=Code.UNKNOWN_SALE, detail=f"There is no sale {public_sale(SaleId(sale))!r}.")


KINDS_WITH_IDS: Final = {
    Code.UNKNOWN_RESERVATION: "reservation",
    Code.UNKNOWN_ENTRY: "waiting list entry",
    Code.UNKNOWN_WEBHOOK: "webhook endpoint",
    Code.UNKNOWN_TICKET: "ticket",
    Code.UNKNOWN_PAYMENT: "payment",
}


def unknown(code: Code, id_: object) -> Refused:
    """Return the refusal of a call about a thing that does not exist; it names the id when that is text."""
    if not is_str(id_):
        return Refused(code=code)
    return Refused(code=code, detail=f"There is no {KINDS_WITH_IDS[code]} {id_[:MAX_NAME]!r}.")
