"""A reservation, and what a request comes to: granted or refused, as values."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from flashguard.errors import Code

from .names import MAX_NAME, CustomerId, ReservationId, SaleId, is_str, public_sale
from .sale import Line


class ReservationStatus(StrEnum):
    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


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
