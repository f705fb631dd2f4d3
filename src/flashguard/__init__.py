"""FlashGuard: an inventory engine that never oversells and never loses an order that it confirmed.

from flashguard import FlashGuard, Line

async with await FlashGuard.connect() as guard:
    outcome = await guard.buy("demo", "customer-1", [Line("sneaker", 1)])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODEL = "Granted Item Line Outcome Refused Reservation ReservationStatus Sale SaleStatus"
_MODULES = dict.fromkeys(_MODEL.split(), "flashguard.model") | {
    "BasketRequest": "flashguard.spread",
    "Code": "flashguard.errors",
    "FlashGuard": "flashguard.guard",
    "NewSale": "flashguard.shop.new_sale",
    "Settings": "flashguard.settings",
}
"""Where each name stands: imported when it is first asked for, for most processes need only some of it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
