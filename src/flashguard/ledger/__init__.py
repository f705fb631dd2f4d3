"""PostgreSQL: the final source of truth and the last guard."""

from .connections import Connection, LedgerAway
from .installation import Installation
from .ledger import Ledger
from .reservations import ALL_ORDERS, OrderFilter, RecordedReservation, ReservationFilter, lines_from_flat
from .sales import Goods, StoredSale
from .unreadable import UnreadableRow, readable_row

__all__ = [
    "ALL_ORDERS",
    "Connection",
    "Goods",
    "Installation",
    "Ledger",
    "LedgerAway",
    "OrderFilter",
    "RecordedReservation",
    "ReservationFilter",
    "StoredSale",
    "UnreadableRow",
    "lines_from_flat",
    "readable_row",
]
