"""The body and the view of a waiting list entry."""

from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
)

from .bodies import IDENTITIES, Customer, Identities, LineBody, RequestBody
from .orders import LineView, ReservationView


class WaitingBody(RequestBody):
    """A customer and the item and quantity to wait for."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=1)
    admission: str | None = Field(
        None,
        max_length=4096,
        description="The admission from the sale's waiting room; required only while units are available",
    )
    identities: Identities | None = Field(None, description=IDENTITIES)


class WaitingView(BaseModel):
    """A place in a waiting list."""

    id: str
    sale_id: str
    customer: str
    status: Literal["waiting", "offered", "left", "limit-reached", "ended"]
    items: list[LineView]
    place: int | None = Field(description="1: the next for this item; null: no longer waiting")
    created_at: datetime
    reservation: ReservationView | None = Field(description="The reservation that was offered, as it is now")
