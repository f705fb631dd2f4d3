"""Reservations that memory does not have: the sale closed long ago, or is not loaded yet."""

from collections.abc import Callable
from typing import Any

from flashguard.engine.fallback import RECOVERING, Fallback
from flashguard.errors import Code
from flashguard.ledger import Ledger, RecordedReservation, lines_from_flat
from flashguard.model import (
    Granted,
    Outcome,
    Refused,
    Reservation,
    ReservationStatus,
    SaleId,
    SaleStatus,
    public_sale,
    unknown,
)
from flashguard.model.locations import kept_at
from flashguard.model.pools import takes_of

from .amend_request import AmendRequest, Change, fewer


class ForgottenOrders:
    """What the ledger says alone of a request to change such a reservation.

    Parameters:
        closed_hours: memory forgets a sale that closed so many hours ago.
        changed: told of each sale of which an order was changed.
    """

    def __init__(
        self, ledger: Ledger, fallback: Fallback, closed_hours: float, changed: Callable[[SaleId], None]
    ) -> None:
        self._ledger = ledger
        self._fallback = fallback
        self._closed_seconds = closed_hours * 3600
        self._changed = changed

    async def outcome(self, request: AmendRequest) -> Outcome:
        sale, short = request.sale, request.short
        found = await self._fallback.reservation(sale, short)
        if found is None and await self._ledger.refusals.reason(sale, short) is not None:
            return Refused(code=Code.LEDGER_REFUSED)
        if found is None:
            return unknown(Code.UNKNOWN_RESERVATION, f"{sale}.{short}")
        if isinstance(found, Refused):
            return found
        if found.status is ReservationStatus.HELD:
            return RECOVERING
        if found.status is not ReservationStatus.CONFIRMED:
            return Refused(code=Code(f"reservation-{found.status}"))
        if not await self._is_closed(sale):
            return RECOVERING
        detail = "The sale closed long ago: items of its orders can be cancelled, and nothing else amended."
        return Refused(code=Code.SALE_NOT_OPEN, detail=detail)

    async def _is_closed(self, sale: SaleId) -> bool:
        stored = await self._ledger.sales.get(sale)
        return stored is not None and stored.sale.status is SaleStatus.CLOSED

    async def _takes(self, sale: SaleId, lines: list[Any], before: list[Any]) -> list[Any]:
        """Return what these lines move in a sale with pools or locations, flat.

        Parameters:
            before: what the order moves with the items to cancel.
        """
        stored = await self._ledger.sales.get(sale)
        if stored is None:
            return lines
        left = lines_from_flat(lines)
        takes = takes_of(left, {item.sku: item.uses for item in stored.sale.items})
        takes |= kept_at(left, before, stored.sale.locations)
        return [value for pair in takes.items() for value in pair]

    async def cancel_items(
        self,
        request: AmendRequest,
        change_of: Callable[[RecordedReservation], Change | Refused],
        *,
        restock: bool,
        reason: str,
    ) -> Outcome:
        """Cancel items of an order of a sale that memory does not have: it closed long ago, or is not loaded
        yet."""
        sale, short, field = request.sale, request.short, request.field
        known = await self._ledger.reservations.amendment(sale, field)
        if known is not None and known != (request.body, short):
            return Refused(code=Code.IDEMPOTENCY_MISMATCH)
        replayed = known is not None
        order = (await self._ledger.reservations.recorded([(sale, short)])).get((sale, short))
        if order is None or not await self._is_closed(sale):
            return await self.outcome(request)
        if not replayed:
            if order.status is not ReservationStatus.CONFIRMED:
                return Refused(code=Code(f"reservation-{order.status}"))
            change = change_of(order)
            if isinstance(change, Refused):
                return change
            lines, details = change["lines"], {"cancelled": change["cancelled"]}
            before, after = order.lines, lines
            if order.takes is not None:
                before, after = order.takes, await self._takes(sale, lines, order.takes)
                if after != lines:
                    details["takes"] = after
            amend = {
                "sale": sale, "id": short, "key": field, "fingerprint": request.body, "is_order": True,
                "customer": order.customer, "revision": order.revision + 1, "restock": restock,
                "reason": reason, "lines": lines, "moves": fewer(before, after), "details": details,
            }  # fmt: skip
            if not await self._ledger.reservations.cancel_items_archived(
                amend, closed_seconds=self._closed_seconds
            ):
                return RECOVERING
            self._changed(public_sale(sale))
        found = await self._fallback.reservation(sale, short)
        return Granted(found, replayed) if isinstance(found, Reservation) else found or RECOVERING
