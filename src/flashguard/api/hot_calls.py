"""The hot calls: one definition of each, which the lane and the framework's routes share."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from flashguard.api.responses.begun import Answer, Begun, Work
from flashguard.api.schemas.batches import PlainRequest, plain_batch
from flashguard.api.schemas.bodies import PlainBasket, lane_basket
from flashguard.engine.decision import Decision
from flashguard.engine.selling import Sell
from flashguard.guard import FlashGuard
from flashguard.model import is_sale_id, split_reservation_id

from . import batch_calls, buyer_calls, sale_reads
from .access import Right
from .buyer_calls import TICKET

MAX_URL_BYTES: Final = 160
"""No hot call has a longer address."""


class HotCall(NamedTuple):
    """One hot call.

    Parameters:
        method: the HTTP method.
        path: the template of its address, as routes and metrics name it. Names stand in the fourth and sixth
            part.
        right: what its caller must have.
        handle: does the work. Takes the guard, the caller, the names in the path, then the body and the
            idempotency key where the call has them.
        begin: the first half of the same work, for the lane, with the same arguments: what to ask the kernel
            in the next batch. Returns an answer, or work to be started, where nothing is to be asked so; None
            where the framework must refuse. None for a call without halves.
        finish: the second half: makes the answer of the decision.
        read_body: parses a body in which each name stands once, or raises ValueError; None: the lane takes
            the call only without a body. A call with a basket also counts in the rate bucket of the basket's
            customer.
        has_key: whether it takes an `Idempotency-Key`.
        has_conditions: whether it takes the request's `Conditions`, last.
    """

    method: str
    path: str
    right: Right
    handle: Callable[..., Work]
    read_body: Callable[[bytes], PlainBasket | list[PlainRequest]] | None = None
    has_key: bool = False
    begin: Callable[..., Begun | None] | None = None
    finish: Callable[[FlashGuard, Sell, Decision], Answer] = buyer_calls.sold
    has_conditions: bool = False


RESERVE: Final = HotCall(
    "POST", "/v1/sales/{sale}/reservations", Right.SELL, buyer_calls.reserve, lane_basket, has_key=True,
    begin=buyer_calls.begin_reserve,
)  # fmt: skip
BUY: Final = HotCall(
    "POST", "/v1/sales/{sale}/orders", Right.SELL, buyer_calls.buy, lane_basket, has_key=True,
    begin=buyer_calls.begin_buy,
)  # fmt: skip
RESERVE_BATCH: Final = HotCall(
    "POST", "/v1/sales/{sale}/reservations:batch", Right.SELL_MANY, batch_calls.reserve_batch, plain_batch,
    begin=batch_calls.begin_reserve_batch,
)  # fmt: skip
BUY_BATCH: Final = HotCall(
    "POST", "/v1/sales/{sale}/orders:batch", Right.SELL_MANY, batch_calls.buy_batch, plain_batch,
    begin=batch_calls.begin_buy_batch,
)  # fmt: skip
CONFIRM: Final = HotCall("POST", "/v1/reservations/{id}/confirm", Right.SELL, buyer_calls.confirm)
RELEASE: Final = HotCall("POST", "/v1/reservations/{id}/release", Right.SELL, buyer_calls.release)
EXTEND: Final = HotCall("POST", "/v1/reservations/{id}/extend", Right.SELL, buyer_calls.extend, has_key=True)
READ: Final = HotCall("GET", "/v1/reservations/{id}", Right.READ_SALES, buyer_calls.read)
READ_TICKET: Final = HotCall(
    "GET", "/v1/sales/{sale}/tickets/{ticket}", Right.READ_SALES, buyer_calls.read_ticket
)
READ_SALE: Final = HotCall(
    "GET",
    "/v1/sales/{sale}",
    Right.READ_SALES,
    sale_reads.read,
    begin=sale_reads.begin_read,
    has_conditions=True,
)
HOT_CALLS: Final = (
    RESERVE, BUY, RESERVE_BATCH, BUY_BATCH, CONFIRM, RELEASE, EXTEND, READ, READ_TICKET, READ_SALE,
)  # fmt: skip


class Match(NamedTuple):
    """A request's hot call, and the names in its path."""

    call: HotCall
    names: tuple[str, ...]


_IS_VALID: Final[dict[str, Callable[[str], object]]] = {
    "{sale}": is_sale_id,
    "{id}": split_reservation_id,
    "{ticket}": TICKET.fullmatch,
}
"""By parameter: what finds its names valid."""


def _shape(method: bytes, parts: list[str]) -> tuple[bytes, int, str, str, str]:
    """Return what tells hot calls apart: all but the names in the path."""
    return method, len(parts), parts[1], parts[2], parts[4] if len(parts) > 4 else ""


_BY_SHAPE: Final = {
    _shape(call.method.encode(), call.path.split("/")): (
        call, [_IS_VALID[name] for name in call.path.split("/")[3::2]]
    )
    for call in HOT_CALLS
}  # fmt: skip


def _match(method: bytes, url: bytes) -> Match | None:
    parts = url.decode("latin-1").split("/")
    if not 4 <= len(parts) <= 6 or parts[0]:
        return None
    found = _BY_SHAPE.get(_shape(method, parts))
    if found is None:
        return None
    call, checks = found
    names = tuple(parts[3::2])
    return Match(call, names) if all(check(name) for check, name in zip(checks, names, strict=True)) else None


_match_of_sale = lru_cache(maxsize=4096)(_match)
"""There are few sales and many buyers. Reservations are not worth caching: each is named once or twice."""


def match(method: bytes, url: bytes) -> Match | None:
    """Return the hot call that this address asks for; None for any other, also where it only looks
    unusual."""
    if len(url) > MAX_URL_BYTES:
        return None
    return _match_of_sale(method, url) if url.startswith(b"/v1/sales/") else _match(method, url)
