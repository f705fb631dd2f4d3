"""PostgreSQL: the final source of truth and the last guard."""

from .connections import Connection, LedgerAway
from .installation import Installation
from .ledger import Ledger
from .reservations import ALL_ORDERS, OrderFilter, RecordedReservation, lines_from_flat
from .sales import StoredSale
from .unreadable import UnreadableRow, readable_row

__all__ = [
    "ALL_ORDERS",
    "Connection",
    "Installation",
    "Ledger",
    "LedgerAway",
    "OrderFilter",
    "RecordedReservation",
    "StoredSale",
    "UnreadableRow",
    "lines_from_flat",
    "readable_row",
]
