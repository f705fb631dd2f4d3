"""The bodies and views of reservations and orders."""

from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
)

from .bodies import Body, Name


class CancelBody(Body):
    """How an order is taken back."""

    restock: bool = Field(description="Its units go on sale again; false: they leave the stock")
    reason: Name = "refund"


class LineView(BaseModel):
    sku: str
    quantity: int


class ReservationView(BaseModel):
    id: str
    sale_id: str
    customer: str
    status: Literal["held", "confirmed", "released", "expired", "cancelled"]
    items: list[LineView]
    created_at: datetime
    expires_at: datetime | None
    confirmed_at: datetime | None
    receipt: str | None
    cancelled_at: datetime | None = Field(None, description="This and the rest: of cancelled orders alone")
    restocked: bool | None = Field(None, description="Its units went on sale again; else they left the stock")
    cancel_reason: str | None = None
