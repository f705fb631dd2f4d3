"""FlashGuard: an inventory engine that never oversells and never loses an order that it confirmed.

from flashguard import FlashGuard, Line

async with await FlashGuard.connect() as guard:
    outcome = await guard.buy("demo", "customer-1", [Line("sneaker", 1)])
"""

from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import (
    Granted,
    Item,
    Line,
    Outcome,
    Refused,
    Reservation,
    ReservationStatus,
    Sale,
    SaleStatus,
)
from flashguard.settings import Settings
from flashguard.shop.new_sale import NewSale
from flashguard.spread import BasketRequest

__version__ = "0.1.0"

__all__ = [
    "BasketRequest",
    "Code",
    "FlashGuard",
    "Granted",
    "Item",
    "Line",
    "NewSale",
    "Outcome",
    "Refused",
    "Reservation",
    "ReservationStatus",
    "Sale",
    "SaleStatus",
    "Settings",
]
