"""Orders after the sale: cancelled, when the shop refunds them."""

import asyncio
from collections.abc import Callable, Sequence

from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, newly_done, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.results import AsItIs, Cancelled, EndedBefore, HoldNow, Refusal
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, RecordedReservation
from flashguard.model import (
    Granted,
    Key,
    Line,
    Outcome,
    Refused,
    ReservationStatus,
    SaleId,
    SaleStatus,
    public_sale,
    split_reservation_id,
    unknown,
)
from flashguard.model.arguments import NAME, first_wrong, is_text
from flashguard.settings import Settings

from .amend_request import IN_FLIGHT, OF_ANOTHER_HISTORY, POLL_SECONDS, order_of
from .amending import Amending


class Orders:
    """What a shop does with orders. Refusals are values; a server that is away is an exception.

    Parameters:
        changed: told of each sale whose order was cancelled.
    """

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        amending: Amending,
        settings: Settings,
        changed: Callable[[SaleId], None],
    ) -> None:
        self._amending = amending
        self._ledger = ledger
        self._decisions = decisions
        self._settings = settings
        self._changed = changed

    async def cancel(
        self,
        id_: str,
        *,
        restock: bool,
        reason: str,
        items: Sequence[Line] | None = None,
        key: Key | None = None,
    ) -> Outcome:
        """Cancel an order, or items of it; the answer waits until the ledger has it. A second cancel of an
        order returns the first outcome.

        Parameters:
            restock: make its units available again; else they leave the stock. Either way they no longer
                count for the customer's limit.
            items: cancel these only. The order stays confirmed until nothing is left.
            key: an idempotency key: the same key again cancels no more items.
        """
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        wrong = first_wrong(
            (isinstance(restock, bool), "restock: must be True or False"),
            (is_text(reason), f"reason: {NAME}"),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        if items is not None:
            return await self._amending.cancel_items(id_, items, restock=restock, reason=reason, key=key)
        sale, short = name
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.record_timeout_seconds
        while True:
            outcome = await self._cancel(sale, short, restock=restock, reason=reason)
            if outcome is not IN_FLIGHT or loop.time() >= deadline:
                return outcome
            await asyncio.sleep(POLL_SECONDS)  # until the ledger has the amends that memory has

    async def _cancel(self, sale: SaleId, short: str, *, restock: bool, reason: str) -> Outcome:
        order = (await self._ledger.reservations.recorded([(sale, short)])).get((sale, short))
        if order is None or order.status is ReservationStatus.HELD:
            return await self._no_order_yet(sale, short, order)
        if order.status is ReservationStatus.CANCELLED:
            return await self._as_it_is(sale, short, wait=False)
        if order.status is not ReservationStatus.CONFIRMED:
            return Refused(code=Code(f"reservation-{order.status}"))
        if await self._ledger.refusals.is_parked(sale, "cancel", short):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._decisions.ask(
            Verb.CANCEL,
            sale,
            (short, order_of(order), restock, reason),
            id_=short,
            durable=newly_done,
            same=lambda _, found: found.status is ReservationStatus.CANCELLED,
        )
        self._changed(public_sale(sale))
        refused = refused_by_status(decision)
        if refused:
            return OF_ANOTHER_HISTORY if refused.code is Code.LEDGER_REFUSED else refused
        match decision.result:
            case Cancelled():
                found = await self._ledger.reservations.get(sale, short)
                return OF_ANOTHER_HISTORY if found is None else Granted(found)
            case AsItIs(seq):
                return await self._as_it_is(sale, short, wait=bool(seq))
            case Refusal("amended-since"):
                return IN_FLIGHT
            case Refusal("unknown-sale"):
                return await self._cancel_archived(sale, short, restock=restock, reason=reason)
        return OF_ANOTHER_HISTORY

    async def _no_order_yet(self, sale: SaleId, short: str, order: RecordedReservation | None) -> Refused:
        """Return the refusal where the ledger has a hold or nothing; memory may be ahead of it."""
        decision = await self._decisions.ask(Verb.GET, sale, (short,))
        result = decision.result
        if isinstance(result, EndedBefore | HoldNow):
            if result.status in (ReservationStatus.CONFIRMED, ReservationStatus.CANCELLED):
                return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
            return Refused(code=Code(f"reservation-{result.status}"))
        if order is not None:
            return Refused(code=Code.RESERVATION_HELD)
        refused = await self._ledger.refusals.reason(sale, short)
        if refused is None:
            return unknown(Code.UNKNOWN_RESERVATION, f"{sale}.{short}")
        return Refused(code=Code.LEDGER_REFUSED)

    async def _as_it_is(self, sale: SaleId, short: str, *, wait: bool) -> Outcome:
        """Return the cancelled order as the ledger has it.

        Parameters:
            wait: whether the recorder may still have to write it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.record_timeout_seconds
        while True:
            found = await self._ledger.reservations.get(sale, short)
            if found is not None and found.status is ReservationStatus.CANCELLED:
                return Granted(found, True)
            if not wait or loop.time() >= deadline:
                return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def _cancel_archived(self, sale: SaleId, short: str, *, restock: bool, reason: str) -> Outcome:
        """Cancel an order of a sale that memory does not have: it closed long ago, or is not loaded yet."""
        stored = await self._ledger.sales.get(sale)
        if stored is None or stored.sale.status is not SaleStatus.CLOSED:
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
        closed_seconds = self._settings.closed_sale_hours * 3600
        done = await self._ledger.reservations.cancel_archived(
            sale, short, restock=restock, reason=reason, closed_seconds=closed_seconds
        )
        self._changed(public_sale(sale))
        found = await self._ledger.reservations.get(sale, short)
        if found is not None and found.status is ReservationStatus.CANCELLED:
            return Granted(found, not done)
        return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
