"""The body and the view of a waiting list entry."""

from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
)

from .bodies import Body, Customer, LineBody
from .orders import LineView, ReservationView


class WaitingBody(Body):
    """Who waits for what: so many units of one item."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=1)
    admission: str | None = Field(
        None, max_length=4096, description="Of the sale's waiting room; needed only while units are there"
    )


class WaitingView(BaseModel):
    """A place in a waiting list."""

    id: str
    sale_id: str
    customer: str
    status: Literal["waiting", "offered", "left", "limit-reached", "ended"]
    items: list[LineView]
    place: int | None = Field(description="1: the next for this item; null: it waits no more")
    created_at: datetime
    reservation: ReservationView | None = Field(description="What it was offered, as it is now")
