"""Metrics of payments and refunds, as the ledger has them."""

import asyncio
from typing import TYPE_CHECKING

from flashguard.api.components import CHECK_SECONDS
from flashguard.ledger import LedgerAway
from flashguard.telemetry.metrics import Family, gauge

if TYPE_CHECKING:
    from flashguard.payments import Payments


async def payment_families(payments: "Payments | None") -> list[Family]:
    """Return the families; they have no samples without providers or while PostgreSQL is away."""
    counted: dict[tuple[str, str], float] = {}
    refunds: dict[tuple[str, str], float] = {}
    oldest: dict[tuple[str, str], float] = {}
    undecided: dict[tuple[str, ...], float] = {}
    if payments is not None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                figures = await payments.figures()
        except (LedgerAway, TimeoutError):
            pass
        else:
            counted = {(row["provider"], row["status"]): row["payments"] for row in figures.payments}
            refunds = {(row["provider"], row["status"]): row["refunds"] for row in figures.refunds}
            oldest = {
                (row["provider"], row["status"]): row["oldest_seconds"]
                for row in figures.refunds
                if row["status"] != "done"
            }
            undecided = {(): figures.undecided_seconds}
    return [
        gauge(
            "payments",
            "Payments begun in the last 24 hours, at most 100,000, as they are now.",
            counted,
            ("provider", "status"),
        ),
        gauge(
            "payment_refunds",
            "Refunds: waiting (not asked of the provider), pending (at the provider), failing (the last try "
            "failed), failed (for good, not retried); done: of the last 24 hours. Up to 100,000.",
            refunds,
            ("provider", "status"),
        ),
        gauge(
            "payment_refund_oldest_seconds",
            "Seconds since the oldest refund that is not done was decided.",
            oldest,
            ("provider", "status"),
        ),
        gauge(
            "payment_undecided_seconds",
            "Seconds that the oldest payment has waited whose money was taken, but is not decided.",
            undecided,
        ),
    ]
