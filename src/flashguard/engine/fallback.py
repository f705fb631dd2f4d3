"""What the ledger says where memory can't: of a sale or a reservation that memory does not have, of a
reservation that has ended, of what the recorder has not written yet."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from flashguard.errors import Code
from flashguard.ledger import Ledger, LedgerAway, UnreadableRow
from flashguard.model import (
    Granted,
    Outcome,
    Refused,
    Reservation,
    ReservationStatus,
    SaleId,
    SaleStatus,
    priced,
    unknown,
    unknown_sale,
)

from .late_confirm import lines_of, too_late
from .outcomes import IN_FLIGHT_RETRY_SECONDS, first_outcome
from .receipts import AmendedReceipt

FIRST_POLL_SECONDS: Final = 0.02
LAST_POLL_SECONDS: Final = 0.32
"""Time between two reads of a row that the recorder is about to write: each pause is twice as long as the one
before. While no recorder writes, many may wait."""

RECOVERING: Final = Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
OVER_BY_TIME: Final = frozenset((ReservationStatus.HELD, ReservationStatus.EXPIRED))
"""What the ledger may still say of a hold that has expired."""


class Fallback:
    """Answers from the ledger. Where the ledger does not answer either: `recovering`.

    Parameters:
        timeout_seconds: how long to wait for a row that the recorder is about to write.
    """

    def __init__(self, ledger: Ledger, timeout_seconds: float) -> None:
        self._ledger = ledger
        self._timeout_seconds = timeout_seconds

    async def sale_not_in_memory(self, sale: SaleId, short: str, body: int) -> Outcome:
        """Return the outcome of a request for a sale that memory does not have: an unknown sale, a closed
        one, or one that is not loaded yet.

        Parameters:
            short: the reservation that the request would have made, by its idempotency key perhaps before.
            body: the request's fingerprint.
        """
        try:
            stored = await self._ledger.sales.get(sale)
            if stored is None:
                return unknown_sale(sale)
            if stored.sale.status is not SaleStatus.CLOSED:
                return RECOVERING
            found = await self._ledger.reservations.get_with_fingerprint(sale, short)
        except LedgerAway:
            return RECOVERING
        if found is not None:
            return first_outcome(*found, body)
        return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.")

    async def refused_by_ledger(self, sale: SaleId, short: str, body: int) -> Outcome:
        """Return the outcome where the ledger refused what memory granted: memory had lost some history,
        perhaps the first outcome of this very key."""
        try:
            found = await self._ledger.reservations.get_with_fingerprint(sale, short)
        except LedgerAway:
            return RECOVERING
        return Refused(code=Code.LEDGER_REFUSED) if found is None else first_outcome(*found, body)

    async def is_parked(self, sale: SaleId, short: str) -> bool:
        """Return whether the ledger has set a transition of this reservation aside; False where it does not
        answer."""
        try:
            return bool(await self._ledger.refusals.has_parked(sale, short))
        except LedgerAway:
            return False

    async def reservation_not_in_memory(
        self, sale: SaleId, short: str, status: ReservationStatus, receipt: AmendedReceipt | None = None
    ) -> Outcome:
        """Return the outcome of a request about a reservation that memory does not have.

        Parameters:
            status: what the request wants the reservation to be.
            receipt: what the buyer showed: proof of a hold that memory and the ledger may both not have.
        """
        try:
            found = await self._ledger.reservations.get(sale, short)
            if found is None and await self._ledger.refusals.reason(sale, short) is not None:
                return Refused(code=Code.LEDGER_REFUSED)
        except LedgerAway:
            return RECOVERING
        if found is None and receipt is not None:
            return await self._only_a_receipt(sale, short, receipt)
        if found is None:
            return unknown(Code.UNKNOWN_RESERVATION, f"{sale}.{short}")
        if found.status == status:
            return Granted(found, True)
        if found.status is ReservationStatus.HELD:
            return RECOVERING
        return _refused_as(found)

    async def _only_a_receipt(self, sale: SaleId, short: str, receipt: AmendedReceipt) -> Outcome:
        """Return the outcome of a confirm of a hold that only its receipt proves, in a sale that memory does
        not have."""
        try:
            stored = await self._ledger.sales.get(sale)
        except LedgerAway:
            stored = None
        if stored is None or stored.sale.status is not SaleStatus.CLOSED:
            return RECOVERING
        refused = Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed: refund the payment.")
        return await self.too_late(sale, short, refused, None, receipt)

    async def too_late(
        self, sale: SaleId, short: str, refused: Refused, why: str | None, receipt: AmendedReceipt | None
    ) -> Outcome:
        """Return the outcome of a confirm that comes too late: see `late_confirm.too_late`."""
        lines = () if receipt is None else lines_of(receipt)
        try:
            return await too_late(self._ledger, sale, short, refused, why, lines)
        except LedgerAway as error:
            return _recovering(error)

    async def reservation(self, sale: SaleId, short: str) -> Reservation | Refused | None:
        """Return the reservation as the ledger has it; None where it has none."""
        try:
            return await self._ledger.reservations.get(sale, short)
        except LedgerAway as error:
            return _recovering(error)

    async def after_expiry(
        self, sale: SaleId, short: str, status: ReservationStatus, refused: Refused
    ) -> Outcome:
        """Return the outcome of a request about a hold that memory says has expired. A memory that fell back
        may not know that it was confirmed or released in time: the ledger does.

        Parameters:
            status: what the request wants the reservation to be.
            refused: what memory says.
        """
        found = await self.reservation(sale, short)
        if isinstance(found, Refused):
            return found
        if found is None or found.status in OVER_BY_TIME:
            return refused
        return Granted(found, True) if found.status == status else _refused_as(found)

    async def ended(
        self,
        sale: SaleId,
        short: str,
        status: ReservationStatus,
        *,
        wait: bool,
        body: int | None = None,
    ) -> Reservation | Refused:
        """Return a reservation that memory has ended, as the ledger has it.

        Parameters:
            status: what memory says that the reservation is.
            wait: whether the recorder may still have to write it.
            body: the request's fingerprint, where it would have made the reservation: a memory that lost the
                key may have granted it for another basket.
        """
        loop, pauses = asyncio.get_running_loop(), _pauses()
        deadline = loop.time() + self._timeout_seconds
        while True:
            try:
                row = await self._ledger.reservations.get_with_fingerprint(sale, short)
                found, first = row or (None, None)
                if found is not None and found.status == status:
                    is_same = body is None or body == first
                    return found if is_same else Refused(code=Code.IDEMPOTENCY_MISMATCH)
                why = await self._ledger.refusals.reason(sale, short)
                if why is not None:
                    return Refused(code=Code.LEDGER_REFUSED, detail=why)
            except UnreadableRow as error:
                return _recovering(error)
            except LedgerAway:
                pass
            if not wait or loop.time() >= deadline:
                return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
            await asyncio.sleep(next(pauses))

    async def is_recorded(self, sale: SaleId, short: str, body: int) -> bool:
        """Return whether the ledger has this reservation, in any state, by a request with this fingerprint;
        wait for the recorder until the timeout."""
        try:
            row = await self.recorded(sale, short)
        except UnreadableRow:
            return True
        return row is not None and row[1] == body

    async def with_more(
        self, sale: SaleId, short: str, reservation: Reservation, more: bool | Mapping[str, int]
    ) -> Reservation:
        """Return the reservation with its prices, reference and metadata.

        Parameters:
            more: True: the ledger has them; or its own prices, where it has nothing else; False: it has none.
        """
        row = await self.recorded(sale, short) if more is True else None
        found = None if row is None else row[0]
        prices: Mapping[str, int] = {}
        if found is not None:
            prices = {each.sku: each.price_minor for each in found.items if each.price_minor is not UNSET}
        elif isinstance(more, Mapping):
            prices = more
        if prices:
            items = priced(reservation.items, prices)
            reservation = msgspec.structs.replace(reservation, items=items)
        if found is None:
            return reservation
        return msgspec.structs.replace(reservation, reference=found.reference, metadata=found.metadata)

    async def recorded(self, sale: SaleId, short: str) -> tuple[Reservation, int] | None:
        """Return a reservation as the ledger has it, and the fingerprint of the request that made it. Wait
        for the recorder until the timeout, then None.

        Raises:
            UnreadableRow: its values can't be read.
        """
        loop, pauses = asyncio.get_running_loop(), _pauses()
        deadline = loop.time() + self._timeout_seconds
        while loop.time() < deadline:
            try:
                row = await self._ledger.reservations.get_with_fingerprint(sale, short)
                if row is not None:
                    return row
            except UnreadableRow:
                raise
            except LedgerAway:
                pass
            await asyncio.sleep(next(pauses))
        return None


def _pauses() -> Iterator[float]:
    """Yield the seconds between one read and the next."""
    pause = FIRST_POLL_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LAST_POLL_SECONDS)


def _recovering(error: LedgerAway) -> Refused:
    """Return the refusal where the ledger did not answer, or has a row that can't be read."""
    why = str(error) if isinstance(error, UnreadableRow) else ""
    return Refused(code=Code.RECOVERING, detail=why, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)


def _refused_as(found: Reservation) -> Refused:
    """Return the refusal that says what a reservation is."""
    return Refused(code=Code(f"reservation-{found.status}"))
