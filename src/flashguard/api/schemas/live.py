"""The events of a sale's stream, for the OpenAPI document."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from .answers import ProblemView
from .goods import LocationStockView
from .rooms import PlaceView
from .sales import SaleView


class StockItemView(BaseModel):
    sku: str
    stock: int | None
    available: int
    held: int
    sold: int
    locations: list[LocationStockView] | None = Field(
        None, description="Its units at each location; only of an item that has its stock at locations"
    )


class StockPoolView(BaseModel):
    id: str
    stock: int
    available: int
    held: int
    sold: int


class StockEvent(BaseModel):
    """The items and pools that changed, with their current counters."""

    sale_id: str
    at: datetime
    items: list[StockItemView]
    pools: list[StockPoolView]


class AwayEvent(BaseModel):
    """Valkey/Redis does not answer: the numbers are stale until the next `sale` or `stock`."""

    code: Literal["recovering"]
    detail: str


class PingEvent(BaseModel):
    at: datetime


class SaleEvents(BaseModel):
    """The `data` of each event, by the event's name."""

    sale: SaleView
    stock: StockEvent
    away: AwayEvent
    ping: PingEvent


class TicketEvents(BaseModel):
    """The `data` of each event, by the event's name."""

    place: PlaceView
    away: AwayEvent
    problem: ProblemView
    ping: PingEvent


def event_stream(events: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the 200 of an event stream: the data of its events, by name."""
    return {
        200: {
            "model": events,
            "description": "Server-Sent Events; each event's `data` is the member of its name.",
        }
    }
