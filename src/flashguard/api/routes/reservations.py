"""What a buyer does: hold, buy, confirm, release, extend. The hottest of these also have the express lane."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.api import hot_calls as selling
from flashguard.api.middleware.rate_limit import customer_may_ask
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.bodies import BasketBody, ConfirmBody
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.orders import ReservationView
from flashguard.api.security import Looking, Selling

from .dependencies import IdempotencyKey, SaleParam, guard_of, known

router = APIRouter(prefix="/v1", tags=["reservations"])

IdParam = Annotated[str, Path(max_length=100, description="The reservation's id")]


@router.post(
    "/sales/{sale}/reservations",
    status_code=201,
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def reserve(
    request: Request,
    caller: Selling,
    sale: SaleParam,
    body: BasketBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Sets units aside for a customer until `expires_at`."""
    await customer_may_ask(request, guard_of(request), caller, body.customer)
    return await selling.reserve(guard_of(request), caller, known(sale), body, valid_key(idempotency_key))


@router.post(
    "/sales/{sale}/orders",
    status_code=201,
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def buy(
    request: Request,
    caller: Selling,
    sale: SaleParam,
    body: BasketBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Reserves and confirms in one atomic step. 201 `confirmed`: the order is committed in PostgreSQL."""
    await customer_may_ask(request, guard_of(request), caller, body.customer)
    return await selling.buy(guard_of(request), caller, known(sale), body, valid_key(idempotency_key))


@router.get("/reservations/{id}", response_model=ReservationView, responses=problems(401, 403, 404, 503))
async def read_reservation(request: Request, caller: Looking, id: IdParam) -> Response:
    """A reservation as it is now."""
    return await selling.read(guard_of(request), caller, id)


@router.post(
    "/reservations/{id}/confirm",
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def confirm(
    request: Request, caller: Selling, id: IdParam, body: ConfirmBody | None = None
) -> Response:
    """Turns a live hold into an order, committed in PostgreSQL.

    With its receipt, a hold that ended or was lost is honoured while its units can be had; else the problem
    says what to refund.
    """
    return await selling.confirm(guard_of(request), caller, id, body.receipt if body else None)


@router.post(
    "/reservations/{id}/release", response_model=ReservationView, responses=problems(401, 403, 404, 409, 503)
)
async def release(request: Request, caller: Selling, id: IdParam) -> Response:
    """Gives a live hold's units back to stock."""
    return await selling.release(guard_of(request), caller, id)


@router.post(
    "/reservations/{id}/extend",
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def extend(
    request: Request,
    caller: Selling,
    id: IdParam,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Gives a live hold more time, never past the sale's absolute hold limit."""
    return await selling.extend(guard_of(request), caller, id, valid_key(idempotency_key))
