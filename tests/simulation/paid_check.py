"""What a run's payments have become: each that took money is one order, or its money went back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from tests.campaign.checker import Violation
from tests.campaign.history import Ledger
from tests.campaign.mixed_check import SaleState
from tests.campaign.mixed_payments_check import Paid, check_payments
from tests.simulation.payers import PAID, Payers
from tests.simulation.postgres_wire import Backend

SETTLE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5
LEASED: Final = """
SELECT EXISTS (SELECT FROM flashguard.payments WHERE due_at > simulation.now() + interval '5 s')
    OR EXISTS (SELECT FROM flashguard.payment_refunds WHERE due_at > simulation.now() + interval '5 s')"""
END_LEASES: Final = """
UPDATE flashguard.payments SET due_at = simulation.now() WHERE due_at IS NOT NULL;
UPDATE flashguard.payment_refunds SET due_at = simulation.now() WHERE due_at IS NOT NULL"""
"""Once no process has one: a simulated minute costs a second."""
READ: Final = """
SELECT json_build_object(
 'unfinished', (SELECT json_agg(json_build_object('id', id, 'state', state, 'why', why, 'due', due_at,
                  'error', error)) FROM flashguard.payments WHERE state IN ('new', 'open', 'paid')),
 'payments', (SELECT json_agg(json_build_object('id', id, 'hold', sale_id || '.' || reservation,
                'state', state, 'why', why, 'paid_minor', paid_minor, 'refunded_minor', refunded_minor)
                ORDER BY id) FROM flashguard.payments),
 'refunds', (SELECT json_agg(json_build_object('payment', payment, 'number', number, 'state', state)
               ORDER BY payment, number) FROM flashguard.payment_refunds
             WHERE state <> 'void' AND retried_as IS NULL),
 'amends', (SELECT json_agg(json_build_array(sale_id || '.' || id, revision, customer, lines, reason)
              ORDER BY sale_id, id, revision, at) FROM flashguard.amendments))
"""


def _read(own: Backend) -> dict[str, Any]:
    [[text]] = own.query(READ)
    return {name: rows or [] for name, rows in json.loads(text or "").items()}


async def judge(
    payers: Payers,
    own: Backend,
    quiet: Callable[[], Awaitable[Ledger]],
    restart: Callable[[], Awaitable[None]],
) -> list[Violation]:
    """Wait until every payment has ended, then return what was broken.

    Parameters:
        quiet: waits until nothing of the sale is held or on its way to the ledger, and reads it.
        restart: kills every process that settles payments, and waits until they are there again.
    """
    deadline = payers.world.now + SETTLE_SECONDS
    is_settled = False
    while True:
        before = is_settled and not payers.is_busy  # then only what is recorded may still change something
        ledger = await quiet()
        is_settled = await _are_settled(payers, own)
        if (before and is_settled) or payers.world.now > deadline:
            break
        if not payers.is_busy and own.query(LEASED) == [["t"]]:
            await restart()
            own.query(END_LEASES)
        await asyncio.sleep(LOOK_SECONDS)
    return [*payers.violations(), *_found(payers, ledger, _read(own))]


async def _are_settled(payers: Payers, own: Backend) -> bool:
    """Return whether nothing is to be done; have refunds that failed asked for again, as an operator does."""
    seen = _read(own)
    failed = [row["payment"] for row in seen["refunds"] if row["state"] == "failed"]
    for payment in dict.fromkeys(failed):
        await payers.retry_refunds(payment)
    return not seen["unfinished"] and all(row["state"] == "done" for row in seen["refunds"])


def _found(payers: Payers, ledger: Ledger, seen: dict[str, Any]) -> Iterator[Violation]:
    amends: dict[str, list[Any]] = {}
    for hold, revision, customer, lines, reason in seen["amends"]:
        pairs = tuple(zip(lines[::2], lines[1::2], strict=True))
        amends.setdefault(hold, []).append((revision, customer, pairs, reason))
    final = SaleState(
        kind=PAID, stock=0, ledger={}, memory={}, restocks={}, refused=(), waiting={}, audit=ledger.audit,
        rows={f"{row.part}.{row.id}": (row.customer, row.status, row.lines) for row in ledger.rows},
        amends=amends,
    )  # fmt: skip
    paid = Paid(
        payments={row["id"]: row for row in seen["payments"]},
        refunds={f"{row['payment']}-{row['number']}": row["state"] for row in seen["refunds"]},
        sessions={
            id_: (made.asked.reservation_id, made.status, made.paid, payers.bank.kept(id_))
            for id_, made in payers.bank.sessions.items()
        },
        unfinished=seen["unfinished"],
    )
    yield from check_payments(paid, [final], payers.asked)
    for id_, status in payers.told.items():
        if status == "order" and paid.payments.get(id_, {}).get("state") != "order":
            yield Violation("two outcomes", f"{id_} was told to be an order, now {paid.payments.get(id_)}")
    for sku, item in ledger.items.items():
        if ledger.memory.get(sku) != item or item.held:
            what = f"paid's {sku}: memory has {ledger.memory.get(sku)}, the ledger {item}"
            yield Violation("leaked", what)
    if not ledger.audit_ok:
        yield Violation("audit", str(ledger.audit))
