"""A request to change a reservation, the order that it is about, and differences of baskets."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from flashguard.engine.outcomes import RETRY_SECONDS
from flashguard.errors import Code
from flashguard.ledger import RecordedReservation, lines_from_flat
from flashguard.model import Line, Refused, SaleId

POLL_SECONDS: Final = 0.02
IN_FLIGHT: Final = Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
OF_ANOTHER_HISTORY: Final = Refused(
    code=Code.RECOVERING,
    detail="Memory does not have this order as the ledger has it and is about to be rebuilt. Retry.",
    retry_after_seconds=RETRY_SECONDS,
)

Change = dict[str, Any]
"""What amend.lua is to change, by name."""


class AmendRequest(Struct, frozen=True):
    """A request to change a reservation.

    Parameters:
        sale, short: the shard and the short id of the reservation.
        field: the name of the key's record in memory, which is the key in the ledger.
        body: the request's fingerprint.
    """

    sale: SaleId
    short: str
    field: str
    body: int


def order_of(order: RecordedReservation) -> dict[str, Any]:
    """Return an order of the ledger as the scripts take it: see lib/orders.lua."""
    return {
        "fingerprint": order.fingerprint,
        "customer": order.customer,
        "lines": order.lines,
        "revision": order.revision,
        **{name: order.details[name] for name in ("takes", "identities", "prices") if name in order.details},
    }


def invalid(detail: str) -> Refused:
    """Return the refusal of a request that can't be one."""
    return Refused(code=Code.INVALID_REQUEST, detail=detail)


def flat(lines: Sequence[Line]) -> list[Any]:
    """Return lines as the kernel takes them."""
    return [value for line in lines for value in (line.sku, line.quantity)]


def _quantities(lines: Sequence[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
        found[sku] = found.get(sku, 0) + quantity
    return found


def without(before: Sequence[Any], lines: Sequence[Line]) -> list[Any] | Refused:
    """Return the lines that are left; refused where there are not so many."""
    left = _quantities(before)
    for line in lines:
        has = left.get(line.sku, 0)
        if line.quantity > has:
            return Refused(
                code=Code.INVALID_REQUEST, detail=f"items: the order has {has} of {line.sku!r}.",
                sku=line.sku, available=has,
            )  # fmt: skip
        left[line.sku] = has - line.quantity
    return [value for sku, quantity in left.items() if quantity for value in (sku, quantity)]


def more(before: Sequence[Any], after: Sequence[Any]) -> tuple[Line, ...]:
    """Return what the second basket has more than the first."""
    had = _quantities(before)
    added = {sku: quantity - had.get(sku, 0) for sku, quantity in _quantities(after).items()}
    return lines_from_flat([value for sku, units in added.items() if units > 0 for value in (sku, units)])


def fewer(before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """Return what the second basket has fewer, as negative units."""
    return [value for line in more(after, before) for value in (line.sku, -line.quantity)]
