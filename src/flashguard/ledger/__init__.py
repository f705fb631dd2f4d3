"""PostgreSQL: the final source of truth and the last guard."""

from flashguard.ledger.ledger import Installation, Ledger, LedgerAway, StoredSale, lines_from_flat

__all__ = ["Installation", "Ledger", "LedgerAway", "StoredSale", "lines_from_flat"]
