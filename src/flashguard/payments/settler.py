"""Settles payments: ends sessions with their holds, confirms what is paid, and carries refunds out.

Several settlers may run, and the API settles a payment itself when its event arrives: a lease gives each step
to one of them, and the ledger decides each payment once. Every step may be done twice:
docs/explanation/payments.md walks through every point at which a process may die.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from flashguard.engine.late_confirm import lines_of
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.ledger.payments import AGAIN, END_NOW, SHORT, UNDO, PaymentBook
from flashguard.model import Granted, Refused, Reservation, ReservationStatus

from .provider import Provider, ProviderAway, ProviderRefused, RefundRequest, SessionRequest

log = logging.getLogger("flashguard.payments")

POLL_SECONDS: Final = 0.5
AT_ONCE: Final = 16
"""Payments, and refunds, that a settler works on at a time."""
LEASE_SECONDS: Final = 60.0
CONFIRM_SECONDS: Final = 30.0
"""No confirm begins this long after its payment was claimed: another settler may have it before the confirm
is decided, and may have decided to refund it."""
GRACE_SECONDS: Final = 5.0
"""How long the refund of a payment that could not be confirmed waits; then it is asked once more whether
there is an order."""
AFTER_HOLD_SECONDS: Final = 2.0
"""How long after the end of its hold a session is ended: the hold may be extended at the last moment."""
RETRY_SECONDS: Final = 1.0
RETRY_SECONDS_MOST: Final = 600.0
DOUBLINGS_MOST: Final = 10
UNPAID: Final = ("too-little", "wrong-currency")
NOT_NOW: Final = (Code.RECOVERING, Code.OVERLOADED, Code.REQUEST_IN_FLIGHT, Code.RATE_LIMITED)
"""Refusals after which a confirm may succeed: the payment waits."""
NO_ORDER: Final = "payment refunded"
"""The reason of the cancel of an order whose payment goes back."""


class _NotYet(Exception):
    """The step can't be done now; it is tried again."""


class Settler:
    """Settles what is due."""

    def __init__(self, guard: FlashGuard, providers: Mapping[str, Provider]) -> None:
        self._guard = guard
        self._providers = providers
        self._book = PaymentBook(guard.ledger)

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            found = 0
            try:
                found = await self.turn()
            except (LedgerAway, asyncpg.PostgresError) as error:
                log.warning("payments wait for PostgreSQL, next try in %.1f s: %s", POLL_SECONDS, error)
            except Exception:
                log.exception("payments: next try in %.1f s", POLL_SECONDS)
            if not found:
                await asyncio.sleep(POLL_SECONDS)

    async def turn(self) -> int:
        """Settle what is due now, some at a time; return how many steps there were."""
        payments = await self._book.claim(AT_ONCE, LEASE_SECONDS)
        refunds = await self._book.claim_refunds(AT_ONCE, LEASE_SECONDS)
        claimed = time.monotonic()
        await asyncio.gather(
            *(self._payment(row, claimed) for row in payments), *(self._refund(row) for row in refunds)
        )
        return len(payments) + len(refunds)

    async def settle_now(self, id_: str) -> None:
        """Settle this payment, if money was taken and nothing is decided; else another has it."""
        for row in await self._book.claim(1, LEASE_SECONDS, only=id_):
            await self._payment(row, time.monotonic())

    async def _payment(self, row: asyncpg.Record, claimed: float) -> None:
        try:
            await (self._decide(row, claimed) if row["state"] == "paid" else self._end(row))
        except (_NotYet, ProviderAway, ProviderRefused, MemoryAway, LedgerAway) as error:
            log.warning("payment %s waits: %s", row["id"], error)
            with contextlib.suppress(LedgerAway):  # else its lease ends
                await self._book.postpone(row["id"], row["attempts"], _wait_seconds(row), str(error)[:300])
        except Exception:
            log.exception("payment %s is tried again when its lease ends", row["id"])

    async def _end(self, row: asyncpg.Record) -> None:
        """End the session of a hold that is over; where the provider says that it is paid, note that."""
        id_ = row["id"]
        if row["why"] not in END_NOW:
            found = await self._guard.reservation(full_id(row))
            if isinstance(found, Refused) and found.code in NOT_NOW:
                raise _NotYet(found.detail or found.code)
            if isinstance(found, Reservation) and found.status is ReservationStatus.HELD and found.expires_at:
                left = (found.expires_at - datetime.now(UTC)).total_seconds()
                await self._book.postpone(
                    id_, row["attempts"], max(0.0, left) + AFTER_HOLD_SECONDS, row["error"]
                )
                return
        provider, session = self._provider(row), row["session"]
        if session is None:  # the provider's answer may be lost: asked again, it names the session it made
            try:
                made = await provider.create(asked_of(row))
            except ProviderRefused:
                await self._book.end(id_)
                return
            session = made.id
            await self._book.open(id_, session, {})
        now = await provider.expire(session)
        if now.status == "ended":
            await self._book.end(id_)
        elif now.status == "paid":
            await self._book.note_paid(id_, now.amount_minor, now.currency.upper())
        else:
            raise _NotYet(f"its session is {now.status}")

    async def _decide(self, row: asyncpg.Record, claimed: float) -> None:
        """Confirm the hold, or write a refund down."""
        why = await self._why_not(row, claimed)
        grace_seconds = 0.0 if why in UNPAID else GRACE_SECONDS
        state = await self._book.decide(row["id"], row["attempts"], why, grace_seconds)
        if state in (SHORT, UNDO):
            outcome = await self._guard.orders.cancel(full_id(row), restock=True, reason=NO_ORDER)
            if isinstance(outcome, Refused) and outcome.code is not Code.RESERVATION_CANCELLED:
                raise _NotYet(f"its order is not cancelled: {outcome.code}")
        if state in (SHORT, AGAIN):
            await self._book.postpone(row["id"], row["attempts"], 0.0, None)

    async def _why_not(self, row: asyncpg.Record, claimed: float) -> str | None:
        """Confirm the hold of a payment. Return None where the order is committed, else why there is none."""
        if row["paid_currency"] != row["currency"]:
            return "wrong-currency"
        if row["paid_minor"] < row["amount_minor"]:
            return "too-little"
        id_ = full_id(row)
        receipt = self._guard.signer.verify(row["receipt"])
        found = await self._guard.reservation(id_)
        if isinstance(found, Reservation) and found.status is ReservationStatus.HELD:
            paid_for = () if receipt is None else lines_of(receipt)
            if {(line.sku, line.quantity) for line in paid_for} != {
                (line.sku, line.quantity) for line in found.items
            }:
                return "amended"
        if time.monotonic() - claimed > CONFIRM_SECONDS:
            raise _NotYet("it was claimed too long ago")
        outcome = await self._guard.confirm(id_, receipt=row["receipt"])
        if isinstance(outcome, Granted):
            return None
        if outcome.code in NOT_NOW:
            raise _NotYet(outcome.detail or outcome.code)
        return str(outcome.code)

    async def _refund(self, row: asyncpg.Record) -> None:
        """Carry a refund out."""
        payment, number = row["payment"], row["number"]
        provider_id = row["provider_id"]
        try:
            if row["asked_at"] is None and not await self._book.begin_refund(payment, number):
                return
            if row["session"] is None:
                raise _NotYet("the id of its session is not known")
            now = await self._provider(row).refund(
                RefundRequest(
                    id=refund_id(row), session=row["session"], amount_minor=row["amount_minor"],
                    currency=row["currency"], reason=row["reason"], provider_id=provider_id,
                    again=row["attempts"] > 1,
                )
            )  # fmt: skip
            provider_id = now.provider_id or provider_id
            if now.status == "pending":
                await self._book.postpone_refund(
                    payment, number, row["attempts"], _wait_seconds(row), None, provider_id
                )
                return
            if now.status == "failed":
                log.error("refund %s failed at the provider: %s", refund_id(row), now.error)
            await self._book.end_refund(payment, number, row["attempts"], now.status, provider_id, now.error)
        except (_NotYet, ProviderAway, ProviderRefused, LedgerAway) as error:
            log.warning("refund %s waits: %s", refund_id(row), error)
            with contextlib.suppress(LedgerAway):
                await self._book.postpone_refund(
                    payment, number, row["attempts"], _wait_seconds(row), str(error)[:300], provider_id
                )
        except Exception:
            log.exception("refund %s is tried again when its lease ends", refund_id(row))

    def _provider(self, row: asyncpg.Record) -> Provider:
        provider = self._providers.get(row["provider"])
        if provider is None:
            raise _NotYet(f"its provider {row['provider']} is not configured")
        return provider


def full_id(row: asyncpg.Record) -> str:
    """Return the id of a payment's reservation."""
    return f"{row['sale_id']}.{row['reservation']}"


def refund_id(row: asyncpg.Record) -> str:
    """Return the id of a refund, which is its key at the provider."""
    return f"{row['payment']}-{row['number']}"


def asked_of(row: asyncpg.Record) -> SessionRequest:
    """Return what the provider is asked for a payment: each time the same."""
    request: dict[str, Any] = json.loads(row["request"])
    return msgspec.convert(
        request
        | {
            "id": row["id"], "reservation_id": full_id(row), "receipt": row["receipt"],
            "amount_minor": row["amount_minor"], "currency": row["currency"],
        },
        SessionRequest,
    )  # fmt: skip


def _wait_seconds(row: asyncpg.Record) -> float:
    """Return the seconds until the next attempt: twice as many after each one."""
    return float(min(RETRY_SECONDS_MOST, RETRY_SECONDS * 2 ** min(row["attempts"] - 1, DOUBLINGS_MOST)))
