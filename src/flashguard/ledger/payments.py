"""Payments for holds, their refunds, and the providers' events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.model import OrderPayment

from .connections import Connections
from .reservations import order_payment

COUNTED_MOST: Final = 100_000
"""Payments, and refunds, that are counted for metrics: a read of them must stay short."""
SHORT: Final = "short"
AGAIN: Final = "again"
UNDO: Final = "undo"
END_NOW: Final = ("replaced", "said-ended")
"""Why a session is to end before its hold: another replaces it, or an event said that it had ended."""


class NewPayment(Struct, frozen=True, kw_only=True):
    """A payment to begin. `request` is what the provider is asked, each time the same."""

    id: str
    sale: str
    reservation: str
    provider: str
    amount_minor: int
    currency: str
    receipt: str
    request: dict[str, Any]
    due_at: datetime


class PaymentFilter(Struct, frozen=True, kw_only=True):
    """Which payments to list; None: all. `sales`: of one, all shards; `refund`: the state of a refund."""

    sales: Sequence[str] | None = None
    states: Sequence[str] | None = None
    reservation: str | None = None
    refund: str | None = None


class PaymentBook:
    """Reads and writes payments. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, new: NewPayment) -> None:
        """Write a payment, unless it is there; others of its reservation that can be paid are to end."""
        await self._connections.run(
            "begin_payment", new.id, new.sale, new.reservation, new.provider, new.amount_minor, new.currency,
            new.receipt, msgspec.json.encode(new.request).decode(), new.due_at,
        )  # fmt: skip

    async def open(self, id_: str, session: str, answer: dict[str, str | None]) -> None:
        """Note that the provider has made the session."""
        await self._connections.run("open_payment", id_, session, msgspec.json.encode(answer).decode())

    async def of_reservation(self, sale: str, reservation: str) -> list[asyncpg.Record]:
        """Return the payments for a reservation, the oldest first."""
        return await self._connections.rows("payments_of_reservation", sale, reservation)

    async def of_order(self, sale: str, order: str) -> OrderPayment | None:
        """Return the payment to show with an order; None without one."""
        return order_payment(await self._connections.value("payment_of_order", sale, order))

    async def get(self, id_: str) -> asyncpg.Record | None:
        """Return a payment."""
        return await self._connections.row("payment", id_)

    async def page(
        self, before: tuple[datetime, str] | None, limit: int, which: PaymentFilter
    ) -> list[asyncpg.Record]:
        """Return a page of payments, newest first."""
        at, id_ = before or (None, "")
        sales, states = which.sales, which.states
        page = (
            None if sales is None else list(sales), at, id_,
            None if states is None else list(states), which.reservation, limit,
        )  # fmt: skip
        if which.refund is not None:
            return await self._connections.rows("payments_page_of_refund", *page, which.refund)
        return await self._connections.rows("payments_page", *page)

    async def refunds(self, payments: Sequence[str]) -> list[asyncpg.Record]:
        """Return the refunds of these payments."""
        return await self._connections.rows("refunds_of_payments", list(payments)) if payments else []

    async def take_event(
        self,
        provider: str,
        event: str,
        kind: str,
        payment: str,
        session: str,
        minor: int,
        currency: str,
        refund: int,
    ) -> str | None:
        """Take an event once; return the payment's state, None where this provider has no such payment."""
        state: str | None = await self._connections.value(
            "take_payment_event", provider, event, kind, payment, session, minor, currency, refund
        )
        return state

    async def claim(
        self, most: int, lease_seconds: float, *, only: str | None = None
    ) -> list[asyncpg.Record]:
        """Lease payments that are due to the caller.

        Parameters:
            only: this one, if money was taken and nothing is decided.
        """
        return await self._connections.rows("claim_payments", most, lease_seconds, only)

    async def postpone(self, id_: str, attempts: int, seconds: float, error: str | None) -> None:
        """Make a claimed payment due again later."""
        await self._connections.run("postpone_payment", id_, attempts, seconds, error)

    async def note_paid(self, id_: str, minor: int, currency: str) -> None:
        """Note that the provider took money."""
        await self._connections.value("note_paid", id_, minor, currency)

    async def end(self, id_: str) -> None:
        """Note that the session ended without money."""
        await self._connections.run("end_payment", id_)

    async def decide(self, id_: str, attempts: int, why: str | None, grace_seconds: float) -> str:
        """Decide a claimed payment; see `decide_payment` in the schema for what it returns.

        Parameters:
            why: why it can't become an order; None: its confirm was granted.
            grace_seconds: how long the refund of a refused payment waits.
        """
        return str(await self._connections.value("decide_payment", id_, attempts, why, grace_seconds))

    async def claim_refunds(self, most: int, lease_seconds: float) -> list[asyncpg.Record]:
        """Lease refunds that are due to the caller."""
        return await self._connections.rows("claim_refunds", most, lease_seconds)

    async def begin_refund(self, payment: str, number: int) -> bool:
        """Return whether a refund is to be asked of the provider; False: an order is there after all."""
        return bool(await self._connections.value("begin_refund", payment, number))

    async def postpone_refund(
        self,
        payment: str,
        number: int,
        attempts: int,
        seconds: float,
        error: str | None,
        provider_id: str | None,
    ) -> None:
        """Make a claimed refund due again later."""
        await self._connections.run("postpone_refund", payment, number, attempts, seconds, error, provider_id)

    async def end_refund(
        self,
        payment: str,
        number: int,
        attempts: int,
        state: str,
        provider_id: str | None,
        error: str | None,
    ) -> None:
        """Note that the provider has done a refund (`done`), or never will (`failed`), with its fact."""
        await self._connections.value("end_refund", payment, number, attempts, state, provider_id, error)

    async def retry_refunds(self, payment: str) -> bool:
        """Make the refunds that are not done due now, one that failed as a new one; return whether there is
        such a payment."""
        return bool(await self._connections.value("retry_refunds", payment))

    async def figures(self) -> "PaymentFigures":
        """Return how many payments and refunds there are, and how long the oldest unfinished ones wait."""
        return PaymentFigures(
            payments=await self._connections.rows("payments_counted", COUNTED_MOST),
            refunds=await self._connections.rows("refunds_counted", COUNTED_MOST),
            undecided_seconds=float(await self._connections.value("oldest_undecided_payment")),
        )


class PaymentFigures(Struct, frozen=True, kw_only=True):
    """What is counted of payments: rows of provider, status and number."""

    payments: list[asyncpg.Record]
    refunds: list[asyncpg.Record]
    undecided_seconds: float
