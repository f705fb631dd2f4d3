"""The bodies and views of reservations and orders."""

from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
)

from .bodies import Name, RequestBody


class CancelBody(RequestBody):
    """How an order is cancelled."""

    restock: bool = Field(description="Whether its units go on sale again; false: they leave the stock")
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
    cancelled_at: datetime | None = Field(
        None, description="This and the following fields: only of cancelled orders"
    )
    restocked: bool | None = Field(
        None, description="Whether its units went on sale again; false: they left the stock"
    )
    cancel_reason: str | None = None
