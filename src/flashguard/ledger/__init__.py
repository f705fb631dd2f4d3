"""PostgreSQL: the final source of truth and the last guard."""

from .ledger import (
    ALL_ORDERS,
    Installation,
    Ledger,
    LedgerAway,
    OrderFilter,
    RecordedReservation,
    StoredSale,
    UnreadableRow,
    lines_from_flat,
    readable_row,
)

__all__ = [
    "ALL_ORDERS",
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
