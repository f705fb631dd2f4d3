"""The bodies and views of reservations and orders."""

from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
)

from flashguard.model import MAX_LINES, Line, PaymentStatus, Sku

from .bodies import Customer, LineBody, LocatedLineBody, Name, PlainAmend, RequestBody


def lines_of(items: list[LineBody]) -> tuple[Line, ...]:
    """Return the lines of a body as the model has them."""
    return tuple(Line(Sku(line.sku), line.quantity) for line in items)


class AmendBody(RequestBody):
    """The new basket of a hold or of an order, in place of the old one."""

    items: list[LocatedLineBody] = Field(min_length=1, max_length=MAX_LINES)
    restock: bool = Field(
        True,
        description="Whether units that an order has fewer go on sale again; false: they leave the stock",
    )
    reason: Name = "amend"

    def plain(self) -> PlainAmend:
        """Return the same without the framework."""
        return PlainAmend(tuple(line.plain() for line in self.items), self.restock, self.reason)


class TransferBody(RequestBody):
    """The customer that a hold is given to."""

    customer: Customer


class CancelBody(RequestBody):
    """How an order is cancelled, or which items of it."""

    restock: bool = Field(description="Whether its units go on sale again; false: they leave the stock")
    reason: Name = "refund"
    items: list[LineBody] = Field(
        default_factory=list,
        min_length=1,
        max_length=MAX_LINES,
        description="Cancel these only; the order stays confirmed until nothing is left",
    )


class LineView(BaseModel):
    sku: str
    quantity: int
    price_minor: int | None = Field(
        None, description="The price of one unit at its hold; only once the item's price was changed"
    )


class AllocationView(BaseModel):
    location: str
    quantity: int


class ReservedLineView(LineView):
    allocations: list[AllocationView] | None = Field(
        None, description="Where its units are; only of an item that has its stock at locations"
    )


class ReservationView(BaseModel):
    id: str
    sale_id: str
    customer: str
    status: Literal["held", "confirmed", "released", "expired", "cancelled"]
    items: list[ReservedLineView]
    created_at: datetime
    expires_at: datetime | None
    confirmed_at: datetime | None
    receipt: str | None
    reference: str | None = Field(None, description="The shop's own; only where it gave one")
    metadata: dict[str, str] | None = Field(None, description="The shop's texts; only where it gave any")
    cancelled_items: list[LineView] | None = Field(
        None, description="The items of an order that were cancelled; only where there are any"
    )
    cancelled_at: datetime | None = Field(
        None, description="This and the following fields: only of cancelled orders"
    )
    restocked: bool | None = Field(
        None, description="Whether its units went on sale again; false: they left the stock"
    )
    cancel_reason: str | None = None


class OrderPaymentView(BaseModel):
    """The payment of an order."""

    id: str
    provider: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    refunded_minor: int


class OrderView(ReservationView):
    payment: OrderPaymentView | None = Field(
        description="The payment for the order, or the newest where none became it; null: there is none"
    )
