"""Late confirms: a receipt confirms a hold that has expired or was lost; where it can't, what to refund."""

from typing import Any, Final

from flashguard.errors import Code
from flashguard.ledger import Ledger
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

from .receipts import AmendedReceipt, Signer

MAX_RECEIPT: Final = 16 * 1024
"""Characters; a basket of 50 long lines stays well below."""

_WHY: Final = {
    "sold-out": "its units are sold",
    "limit-reached": "this customer's limit is reached",
    "sale-not-open": "the sale is closed",
    "unknown-item": "its item is no longer on sale",
    "amended": "it was amended after this receipt",
}


def read_receipt(signer: Signer, text: str, id_: ReservationId) -> AmendedReceipt | Refused:
    """Return the receipt of this reservation; refused where it is of another, or not signed here."""
    receipt = signer.verify(text) if is_str(text) and len(text) <= MAX_RECEIPT else None
    if receipt is None:
        return Refused(code=Code.INVALID_REQUEST, detail="receipt: not signed by this installation")
    if receipt.id != id_:
        return Refused(code=Code.INVALID_REQUEST, detail="receipt: of another reservation")
    return receipt


def grant_of(receipt: AmendedReceipt) -> list[Any]:
    """Return what the kernel needs to grant a receipt's units again: see confirm.lua."""
    lines = lines_of(receipt)
    details: dict[str, Any] = {
        "revision": receipt.revision, "takes": receipt.takes, "pick_up": receipt.pick_up,
        "reference": receipt.reference, "identities": receipt.identities, "prices": receipt.prices,
    }  # fmt: skip
    details = {name: value for name, value in details.items() if value}
    return [
        receipt.fingerprint or request_fingerprint("hold", receipt.customer, lines),
        receipt.customer,
        [value for line in lines for value in (line.sku, line.quantity)],
        receipt.created_ms,
        receipt.expires_ms - receipt.created_ms,
        *([details] if details else []),
    ]


def lines_of(receipt: AmendedReceipt) -> tuple[Line, ...]:
    """Return the lines of the hold that the receipt proves."""
    return tuple(Line(Sku(sku), quantity) for sku, quantity in receipt.lines)


async def too_late(
    ledger: Ledger, sale: SaleId, short: str, refused: Refused, why: str | None, lines: tuple[Line, ...]
) -> Outcome:
    """Return the refusal of a confirm that comes too late, with what a shop that was paid should refund.

    Where the ledger has the order after all, return the order: a replica that took over without it knows only
    an expired hold.

    Parameters:
        why: with a receipt, the code of what made the late confirm impossible.
        lines: the lines of the receipt; empty without one: then the ledger is asked.

    Raises:
        LedgerAway: PostgreSQL does not answer, so that it may be an order.
    """
    detail = refused.detail
    if refused.code is Code.RESERVATION_EXPIRED:
        detail = (
            f"The hold has expired, and {_WHY.get(why, 'it can not be confirmed late')}: refund the payment."
            if why
            else "The hold has expired and its units went back to stock. A confirm with the hold's receipt "
            "succeeds while units are available; else refund the payment."
        )
    found = await ledger.reservations.get(sale, short)
    if found is not None and found.status is ReservationStatus.CONFIRMED:
        return Granted(found, True)
    if not lines:
        lines = () if found is None else found.items
    stored = await ledger.sales.get(sale)
    if stored is None or not lines:
        return _with(refused, detail, None)
    prices = {item.sku: item for item in stored.sale.items}
    amounts: dict[str, int] = {}
    for line in lines:
        item = prices.get(line.sku)
        if item is not None:
            amounts[item.currency] = amounts.get(item.currency, 0) + item.price_minor * line.quantity
    refunds = tuple(Amount(currency, minor) for currency, minor in amounts.items())
    return _with(refused, detail, Refund(items=lines, amounts=refunds))


def _with(refused: Refused, detail: str, refund: Refund | None) -> Refused:
    return Refused(
        code=refused.code, detail=detail, sku=refused.sku, available=refused.available, pool=refused.pool,
        limit=refused.limit, used=refused.used, by=refused.by,
        retry_after_seconds=refused.retry_after_seconds, refund=refund,
    )  # fmt: skip
