"""The list of a sale's reservations: holds, orders, and what ended."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from flashguard.api.access import Caller, Right
from flashguard.api.buyer_calls import NOT_THEIRS
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.orders import ReservationView
from flashguard.api.schemas.views import decode_cursor, encode_cursor, json_response, page
from flashguard.api.security import requires
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.errors import Code
from flashguard.ledger import ReservationFilter
from flashguard.model import MAX_NAME, Refused, Reservation, ReservationStatus, SaleId, unknown_sale

from .dependencies import Cursor, Limit, Reference, SaleParam, guard_of, known, printable, visible_sale

router = APIRouter(prefix="/v1", tags=["reservations"])

ONLY_LIVE_HOLDS: Final = Refused(
    code=Code.FORBIDDEN, detail="Without an API key, only the live holds of one customer are listed."
)


@router.get(
    "/sales/{sale}/reservations",
    response_model=PageView[ReservationView],
    responses=problems(401, 403, 404, 422, 503),
)
async def list_reservations(
    request: Request,
    caller: Annotated[Caller, requires(Right.READ_RESERVATIONS)],
    sale: SaleParam,
    cursor: Cursor = None,
    limit: Limit = 50,
    customer: Annotated[str | None, Query(max_length=MAX_NAME, description="Only this customer's")] = None,
    status: Annotated[ReservationStatus | None, Query(description="Only those in this state")] = None,
    reference: Reference = None,
) -> Response:
    """List a sale's holds, orders and ended holds, in the order of their ids: all that was decided before the
    call. Without an API key, only a customer's live holds are listed."""
    guard, sale_id = guard_of(request), known(sale)
    if customer is not None:
        customer = guard.customer_of(customer)
        if customer is None:
            return problem(Refused(code=Code.INVALID_REQUEST, detail=WHAT_IT_IS))
    which = listed_for(caller, sale_id, customer, status)
    if isinstance(which, Refused):
        return problem(which)
    if reference is not None:
        which = msgspec.structs.replace(which, reference=printable(reference, "reference"))
    rows = await guard.shop.reservations.page(sale_id, decode_cursor(cursor), limit + 1, which)
    if rows is None or (not rows and await visible_sale(guard, caller, sale_id) is None):
        return problem(unknown_sale(sale_id))
    return json_response(page(rows, limit, _cursor, lambda row: row))


def _cursor(row: Reservation) -> str:
    return encode_cursor(row.created_at, row.id)


def listed_for(
    caller: Caller, sale: SaleId, customer: str | None, status: ReservationStatus | None
) -> ReservationFilter | Refused:
    """Return which reservations the caller is listed; the refusal where the caller may not see them."""
    if caller.is_shop:
        return ReservationFilter(customer=customer, status=status)
    if caller.customer is not None:
        if caller.sale != sale or customer not in (None, caller.customer):
            return NOT_THEIRS
        customer = caller.customer
    if customer is None or status not in (None, ReservationStatus.HELD):
        return ONLY_LIVE_HOLDS
    return ReservationFilter(customer=customer, status=ReservationStatus.HELD)
