"""What the live calls look like: events, simulations, the system; pydantic, for the OpenAPI document."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from .sales import SaleView


class StockItemView(BaseModel):
    sku: str
    stock: int
    available: int
    held: int
    sold: int


class StockEvent(BaseModel):
    """The items that changed, as they are now."""

    sale_id: str
    at: datetime
    items: list[StockItemView]


class AwayEvent(BaseModel):
    """Memory does not answer: numbers shown are stale until the next `sale` or `stock`."""

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


def event_stream(events: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The 200 of an event stream: its events' data, by name."""
    return {
        200: {
            "model": events,
            "description": "Server-Sent Events; each event's `data` is the member of its name.",
        }
    }
