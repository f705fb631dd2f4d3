"""What becomes of a hold, on one partition: confirm, release, extend, read.

Every method asks the kernel for one decision and reads its result; where memory can't answer, `Fallback` asks
the ledger.
"""

from secrets import token_hex
from typing import Final

import msgspec

from flashguard.errors import Code
from flashguard.kernel.results import AsItIs, Ended, EndedBefore, Extended, HoldNow, Refusal, Result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import lines_from_flat
from flashguard.model import (
    Granted,
    Key,
    Outcome,
    Refused,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    from_millis,
    public_sale,
    split_reservation_id,
    unknown,
)
from flashguard.model.arguments import KEY, is_key
from flashguard.model.fingerprints import fingerprint
from flashguard.model.locations import allocated

from .decision import Decision, DecisionStatus
from .decisions import Decisions
from .fallback import OVER_BY_TIME, Fallback
from .late_confirm import grant_of, read_receipt
from .outcomes import has_been, is_of_that, newly_done, refusal, refused_by_status
from .receipts import AmendedReceipt, Signer

REFUND_CALLED_FOR: Final = (
    "reservation-expired",
    "sold-out",
    "limit-reached",
    "sale-not-open",
    "unknown-item",
)
"""What the kernel answers to a confirm that comes too late."""


class Holding:
    """The decisions about holds, and about what they became.

    Parameters:
        signer: signs receipts.
    """

    def __init__(self, decisions: Decisions, fallback: Fallback, signer: Signer) -> None:
        self._decisions = decisions
        self._fallback = fallback
        self._signer = signer

    def read_receipt(self, text: str, id_: str) -> AmendedReceipt | Refused:
        """Return the receipt of this reservation; refused where it is of another, or not signed here."""
        return read_receipt(self._signer, text, ReservationId(id_))

    async def ask_confirm(self, sale: SaleId, short: str, receipt: AmendedReceipt | None = None) -> Decision:
        """Ask the kernel to turn a hold into an order; `confirm_outcome` reads the answer.

        Parameters:
            receipt: proof of the hold, by which a hold that has ended or was lost may be granted again.
        """
        return await self._decisions.ask(
            Verb.CONFIRM,
            sale,
            (short,) if receipt is None else (short, grant_of(receipt)),
            id_=short,
            durable=newly_done,
            same=lambda result, found: (
                has_been(ReservationStatus.CONFIRMED, found) and is_of_that(result, found)
            ),
        )

    async def confirm_outcome(
        self, sale: SaleId, short: str, decision: Decision, receipt: AmendedReceipt | None = None
    ) -> Outcome:
        """Return what the answer to `ask_confirm` means."""
        refused = refused_by_status(decision)
        if refused:
            return refused
        status, result = ReservationStatus.CONFIRMED, decision.result
        if isinstance(result, Refusal) and result.code in REFUND_CALLED_FOR:
            why = None
            if result.code == Code.RESERVATION_EXPIRED and result.values:
                (why,) = result.values
            return await self._fallback.too_late(sale, short, refusal(result), why, receipt)
        return await self._ended_outcome(sale, short, status, result, receipt)

    async def release(self, id_: str) -> Outcome:
        """Return the outcome of a release: the units are back in stock, and the ledger has it."""
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        (sale, short), status = name, ReservationStatus.RELEASED
        decision = await self._decisions.ask(
            Verb.RELEASE,
            sale,
            (short,),
            id_=short,
            durable=newly_done,
            same=lambda result, found: has_been(status, found) and is_of_that(result, found),
        )
        if decision.status in (DecisionStatus.REFUSED_BY_LEDGER, DecisionStatus.LOST):
            return await self._fallback.reservation_not_in_memory(sale, short, status)
        return refused_by_status(decision) or await self._ended_outcome(sale, short, status, decision.result)

    async def _ended_outcome(
        self,
        sale: SaleId,
        short: str,
        status: ReservationStatus,
        result: Result | None,
        receipt: AmendedReceipt | None = None,
    ) -> Outcome:
        match result:
            case Ended():
                ended = _ended(sale, short, status, result)
                more = result.more or result.prices or (receipt is not None and receipt.fingerprint > 0)
                return Granted(await self._fallback.with_more(sale, short, ended, more))
            case AsItIs(seq):
                found = await self._fallback.ended(sale, short, status, wait=bool(seq))
                return found if isinstance(found, Refused) else Granted(found, True)
            case Refusal("unknown-reservation" | "unknown-sale"):
                return await self._fallback.reservation_not_in_memory(sale, short, status, receipt)
            case Refusal("reservation-expired"):
                return await self._fallback.after_expiry(sale, short, status, refusal(result))
        return refusal(result)

    async def extend(self, id_: str, key: Key | None) -> Outcome:
        """Return the outcome of an extension: the hold has the sale's hold time again from now, up to its
        absolute limit."""
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        if not (key is None or is_key(key)):
            return Refused(code=Code.INVALID_REQUEST, detail=KEY)
        sale, short = name
        body = fingerprint("extend once", token_hex()) if key is None else fingerprint("extend", key)
        decision = await self._decisions.ask(Verb.EXTEND, sale, (short, body))
        refused = refused_by_status(decision)
        if refused:
            return refused
        result = decision.result
        if isinstance(result, Extended):
            return Granted(await self._live(sale, short, result), result.replayed)
        if decision.code == Code.UNKNOWN_RESERVATION:
            return await self._fallback.reservation_not_in_memory(sale, short, ReservationStatus.HELD)
        if decision.code == Code.RESERVATION_EXPIRED:
            return await self._fallback.after_expiry(sale, short, ReservationStatus.HELD, refusal(result))
        return refusal(result)

    async def reservation(self, id_: str) -> Reservation | Refused:
        """Return the reservation as it is now: a live hold from memory, anything else from the ledger."""
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        sale, short = name
        decision = await self._decisions.ask(Verb.GET, sale, (short,))
        result = decision.result
        if isinstance(result, EndedBefore):
            return await self._fallback.ended(sale, short, result.status, wait=bool(result.seq))
        if isinstance(result, HoldNow):
            if result.status is ReservationStatus.HELD:
                return await self._live(sale, short, result)
            found = await self._fallback.reservation(sale, short)
            if isinstance(found, Refused) or (found is not None and found.status not in OVER_BY_TIME):
                return found  # a memory that fell back, or may have
            live = await self._live(sale, short, result)
            return msgspec.structs.replace(live, status=ReservationStatus.EXPIRED, receipt=None)
        found = await self._fallback.reservation(sale, short)
        if found is not None:
            return found
        refused = refused_by_status(decision)
        if refused is None and decision.code == Code.RECOVERING:
            refused = refusal(result)
        return refused or unknown(Code.UNKNOWN_RESERVATION, id_)

    async def _live(self, sale: SaleId, short: str, hold: Extended | HoldNow) -> Reservation:
        amended = hold.amended or [0, 0]
        more, takes, pick_up, identities, prices, *_ = [*amended[2:], None, None, None, None, None]
        id_, lines = ReservationId(f"{sale}.{short}"), allocated(lines_from_flat(hold.lines), takes or None)
        live = Reservation(
            id=id_,
            sale_id=public_sale(sale),
            customer=hold.customer,
            status=ReservationStatus.HELD,
            items=lines,
            created_at=from_millis(hold.created_ms),
            expires_at=from_millis(hold.expires_ms),
        )
        live = await self._fallback.with_more(sale, short, live, more or prices or False)
        receipt = self._signer.receipt(
            id_, hold.customer, lines, hold.created_ms, hold.expires_ms, hold.amended, pick_up or (),
            live.reference, identities or None, prices,
        )  # fmt: skip
        return msgspec.structs.replace(live, receipt=receipt)


def _ended(sale: SaleId, short: str, status: ReservationStatus, result: Ended) -> Reservation:
    return Reservation(
        id=ReservationId(f"{sale}.{short}"),
        sale_id=public_sale(sale),
        customer=result.customer,
        status=status,
        items=allocated(lines_from_flat(result.lines), result.takes),
        created_at=from_millis(result.created_ms),
        expires_at=from_millis(result.expires_ms),
        confirmed_at=from_millis(result.ended_ms) if status is ReservationStatus.CONFIRMED else None,
    )
