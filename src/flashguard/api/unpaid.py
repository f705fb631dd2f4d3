"""What a buyer may not take without a payment. Where a provider is set, the payment confirms a hold."""

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from flashguard.engine.late_confirm import lines_of, read_receipt
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import Line, Refused, ReservationId, ReservationStatus, SaleId, public_sale

TO_BE_PAID: Final = Refused(
    code=Code.FORBIDDEN,
    detail="It costs money: hold it, then pay with POST /v1/reservations/{id}/payment, which confirms it.",
)


async def costs(guard: FlashGuard, sale: SaleId, lines: Iterable[Line]) -> bool:
    """Return whether any of these lines costs money; one whose price is unknown does.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    found = await guard.shop.recent.sale(sale)
    prices = {} if found is None else {item.sku: item.price_minor for item in found.items}
    return any(prices.get(line.sku, 1) if line.price_minor is UNSET else line.price_minor for line in lines)


async def is_unpaid(guard: FlashGuard, id_: str, receipt: str | None) -> bool:
    """Return whether a confirm of this reservation would make an order that costs money. What can't be
    confirmed, and what is confirmed already, is left to the confirm.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    sale = public_sale(SaleId(id_.partition(".")[0]))
    found = await guard.reservation(id_)
    if isinstance(found, Refused) or found.status is not ReservationStatus.CONFIRMED:
        if receipt is not None:
            shown = read_receipt(guard.signer, receipt, ReservationId(id_))
            if isinstance(shown, Refused):
                return False
            return any((shown.prices or {}).values()) or await costs(guard, sale, lines_of(shown))
        if not isinstance(found, Refused) and found.status is ReservationStatus.HELD:
            return await costs(guard, sale, found.items)
    return False
