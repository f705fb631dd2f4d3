"""Payments for holds: a hold is paid and becomes an order, or the money goes back, exactly once."""

from .payments import Payments
from .provider import (
    Event,
    Forged,
    PaidLine,
    Provider,
    ProviderAway,
    ProviderRefused,
    RefundNow,
    RefundRequest,
    Session,
    SessionNow,
    SessionRequest,
)

__all__ = [
    "Event",
    "Forged",
    "PaidLine",
    "Payments",
    "Provider",
    "ProviderAway",
    "ProviderRefused",
    "RefundNow",
    "RefundRequest",
    "Session",
    "SessionNow",
    "SessionRequest",
]
