"""PostgreSQL: the final source of truth and the last guard."""

from flashguard.ledger.ledger import (
    ALL_ORDERS,
    Installation,
    Ledger,
    LedgerAway,
    OrderFilter,
    RecordedReservation,
    StoredSale,
    lines_from_flat,
)

__all__ = [
    "ALL_ORDERS",
    "Installation",
    "Ledger",
    "LedgerAway",
    "OrderFilter",
    "RecordedReservation",
    "StoredSale",
    "lines_from_flat",
]
