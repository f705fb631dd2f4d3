"""A payment for a hold, and the money of it that goes back."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

PaymentStatus = Literal["open", "paid", "order", "refused", "ended"]
RefundStatus = Literal["pending", "done", "failed"]


class PaymentRefund(Struct, frozen=True, kw_only=True):
    """Money of a payment that goes back. `retried_as`: the refund that takes the place of one that failed."""

    id: str
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str
    created_at: datetime
    ended_at: datetime | None
    error: str | None
    retried_as: str | None = None


class OrderPayment(Struct, frozen=True, kw_only=True):
    """The payment that is shown with an order. `refunded_minor`: what goes back of it, done or not."""

    id: str
    provider: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    refunded_minor: int


class Payment(Struct, frozen=True, kw_only=True):
    """A payment for a hold. `url` and `client_secret` are set while the buyer can pay."""

    id: str
    reservation_id: str
    provider: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    url: str | None
    client_secret: str | None
    created_at: datetime
    paid_at: datetime | None
    paid_minor: int
    why: str | None
    refunds: tuple[PaymentRefund, ...]
