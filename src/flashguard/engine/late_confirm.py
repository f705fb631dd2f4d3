"""Receipts that are shown with a confirm, and what to refund where one can't be honoured."""

from typing import Any, Final

from flashguard.errors import Code
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import (
    Amount,
    Granted,
    Line,
    Outcome,
    Refund,
    Refused,
    ReservationId,
    ReservationStatus,
    SaleId,
    Sku,
    is_str,
)
from flashguard.model.fingerprints import request_fingerprint

from .receipts import Receipt, Signer

MAX_RECEIPT: Final = 16 * 1024
"""Characters; a basket of 50 long lines stays well below."""

_WHY: Final = {
    "sold-out": "its units are sold",
    "limit-reached": "this customer's limit is reached",
    "sale-not-open": "the sale is closed",
    "unknown-item": "its item is not on sale any more",
}


def read_receipt(signer: Signer, text: str, id_: ReservationId) -> Receipt | Refused:
    """The receipt of this reservation; refused when it is not ours, or another one's."""
    receipt = signer.verify(text) if is_str(text) and len(text) <= MAX_RECEIPT else None
    if receipt is None:
        return Refused(code=Code.INVALID_REQUEST, detail="receipt: not signed by this installation")
    if receipt.id != id_:
        return Refused(code=Code.INVALID_REQUEST, detail="receipt: of another reservation")
    return receipt


def grant_of(receipt: Receipt) -> list[Any]:
    """What the kernel needs to give a receipt's units again: see confirm.lua."""
    lines = lines_of(receipt)
    return [
        request_fingerprint("hold", receipt.customer, lines),
        receipt.customer,
        [value for line in lines for value in (line.sku, line.quantity)],
        receipt.created_ms,
        receipt.expires_ms - receipt.created_ms,
    ]


def lines_of(receipt: Receipt) -> tuple[Line, ...]:
    return tuple(Line(Sku(sku), quantity) for sku, quantity in receipt.lines)


async def too_late(
    ledger: Ledger, sale: SaleId, short: str, refused: Refused, why: str | None, lines: tuple[Line, ...]
) -> Outcome:
    """The refusal of a confirm that can't be honoured, with what a shop that was paid should give back; the
    order, where the ledger has it: a replica that took over without it knows only a hold that has ended.

    Parameters:
        why: the code of what stood in the way, where a receipt was shown.
        lines: what the receipt says; empty without one: then the ledger is asked.
    """
    detail = refused.detail
    if refused.code is Code.RESERVATION_EXPIRED:
        detail = (
            f"The hold has ended, and {_WHY.get(why, 'it can not be honoured')}: refund the payment."
            if why
            else "The hold has ended and its units went back to stock. A confirm with the hold's receipt is "
            "honoured while units are left; else refund the payment."
        )
    try:
        found = await ledger.reservations.get(sale, short)
        if found is not None and found.status is ReservationStatus.CONFIRMED:
            return Granted(found, True)
        if not lines:
            lines = () if found is None else found.items
        stored = await ledger.sales.get(sale)
    except LedgerAway:
        return _with(refused, detail, None)
    if stored is None or not lines:
        return _with(refused, detail, None)
    prices = {item.sku: item for item in stored.sale.items}
    amounts: dict[str, int] = {}
    for line in lines:
        item = prices.get(line.sku)
        if item is not None:
            amounts[item.currency] = amounts.get(item.currency, 0) + item.price_minor * line.quantity
    owed = tuple(Amount(currency, minor) for currency, minor in amounts.items())
    return _with(refused, detail, Refund(items=lines, amounts=owed))


def _with(refused: Refused, detail: str, refund: Refund | None) -> Refused:
    return Refused(
        code=refused.code, detail=detail, sku=refused.sku, available=refused.available, limit=refused.limit,
        retry_after_seconds=refused.retry_after_seconds, refund=refund,
    )  # fmt: skip
