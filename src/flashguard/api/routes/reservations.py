"""What a buyer does with a reservation: make, read, confirm, release and extend it. Hot calls, so the lane
answers most of these requests. And, seldom, amend and transfer it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.api import buyer_calls
from flashguard.api.access import Caller, Right
from flashguard.api.admin_log import action_of, begin_action
from flashguard.api.hot_calls import CONFIRM, EXTEND, READ, RELEASE, RESERVE
from flashguard.api.middleware.rate_limit import count_customer
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.bodies import BasketBody, ConfirmBody
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.orders import AmendBody, ReservationView, TransferBody
from flashguard.api.schemas.views import outcome_response
from flashguard.api.security import requires

from .dependencies import IdempotencyKey, SaleParam, guard_of, known, route_of

router = APIRouter(prefix="/v1", tags=["reservations"])

IdParam = Annotated[str, Path(max_length=100, description="The reservation's id")]


@route_of(
    router,
    RESERVE,
    status_code=201,
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def reserve(
    request: Request,
    caller: Annotated[Caller, requires(RESERVE.right)],
    sale: SaleParam,
    body: BasketBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Hold units for a customer until `expires_at`."""
    guard = guard_of(request)
    await count_customer(request, guard, caller, body.customer)
    return await RESERVE.handle(guard, caller, known(sale), body.plain(), valid_key(idempotency_key))


@route_of(router, READ, response_model=ReservationView, responses=problems(401, 403, 404, 503))
async def read_reservation(
    request: Request, caller: Annotated[Caller, requires(READ.right)], id: IdParam
) -> Response:
    """Read a reservation as it is now."""
    return await READ.handle(guard_of(request), caller, id)


@route_of(router, CONFIRM, response_model=ReservationView, responses=problems(401, 403, 404, 409, 422, 503))
async def confirm(
    request: Request,
    caller: Annotated[Caller, requires(CONFIRM.right)],
    id: IdParam,
    body: ConfirmBody | None = None,
) -> Response:
    """Turn a live hold into an order, committed in PostgreSQL.

    With its receipt, an expired or lost hold is still confirmed while its units are available; otherwise the
    problem says what to refund.
    """
    return await CONFIRM.handle(guard_of(request), caller, id, body.receipt if body else None)


@route_of(router, RELEASE, response_model=ReservationView, responses=problems(401, 403, 404, 409, 503))
async def release(
    request: Request, caller: Annotated[Caller, requires(RELEASE.right)], id: IdParam
) -> Response:
    """Return a live hold's units to the stock."""
    return await RELEASE.handle(guard_of(request), caller, id)


@route_of(router, EXTEND, response_model=ReservationView, responses=problems(401, 403, 404, 409, 422, 503))
async def extend(
    request: Request,
    caller: Annotated[Caller, requires(EXTEND.right)],
    id: IdParam,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Give a live hold more time, up to the sale's absolute hold limit."""
    return await EXTEND.handle(guard_of(request), caller, id, valid_key(idempotency_key))


@router.post(
    "/reservations/{id}/amend",
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 429, 503),
)
async def amend(
    request: Request,
    caller: Annotated[Caller, requires(Right.SELL)],
    id: IdParam,
    body: AmendBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Replace the basket of a hold or of an order, in one step. A refusal leaves everything as it was.

    A hold keeps its `expires_at`. Only the shop's keys may amend an order: of its units, those that it has
    fewer go on sale again, or leave the stock.
    """
    guard, key = guard_of(request), valid_key(idempotency_key)
    answer, is_order = await buyer_calls.amend(guard, caller, id, body.plain(), key)
    if is_order and caller.key is not None:
        begin_action(request, caller.key)
        action_of(request).about(id, **body.model_dump(exclude_unset=True))
    return answer


@router.post(
    "/reservations/{id}/transfer",
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 429, 503),
    dependencies=[requires(Right.TRANSFER)],
)
async def transfer(
    request: Request, id: IdParam, body: TransferBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Give a live hold to another customer: a guest who signs in. The limits of that customer count."""
    return outcome_response(
        await guard_of(request).transfer(id, body.customer, key=valid_key(idempotency_key))
    )
