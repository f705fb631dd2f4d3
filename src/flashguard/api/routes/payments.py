"""Payments: begin one for a hold, take the providers' events, and list them. The room `payments` is imported
only where providers are configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api import buyer_calls
from flashguard.api.access import Caller, Right
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.bodies import RequestBody
from flashguard.api.schemas.views import decode_cursor, encode_cursor, json_response, page
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import PaymentStatus, RefundStatus, Refused, unknown, unknown_sale
from flashguard.settings import Settings

from .dependencies import Cursor, Limit, guard_of, known, payments_of

router = APIRouter(prefix="/v1", tags=["payments"])

IdParam = Annotated[str, Path(max_length=100, description="The reservation's id")]
PaymentId = Annotated[str, Path(max_length=100, description="The payment's id")]
ProviderParam = Annotated[str, Path(max_length=64, description="The provider's name")]
Url = Annotated[
    str | None, Field(max_length=2048, json_schema_extra={"format": "uri"}, pattern=r"^https?://[!-~]+$")
]


class PaymentBody(RequestBody):
    """Where the buyer pays, and where the provider sends the buyer afterwards."""

    provider: Annotated[str, Field(min_length=1, max_length=64)]
    success_url: Url = Field(
        None, description="Of `stripe`: omitted, the answer has a client secret for your own form"
    )
    cancel_url: Url = None


class PaymentRefundView(BaseModel):
    """Money of a payment that goes back."""

    id: str
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str
    created_at: datetime
    ended_at: datetime | None
    error: str | None
    retried_as: str | None


class PaymentView(BaseModel):
    id: str
    reservation_id: str
    provider: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    url: str | None
    client_secret: str | None
    created_at: datetime
    paid_at: datetime | None
    paid_minor: int
    why: str | None
    refunds: list[PaymentRefundView]


class ProviderView(BaseModel):
    """A payment provider, by the name that begins a payment."""

    name: str


class TakenView(BaseModel):
    """Whether an event is about a payment here."""

    taken: bool


@asynccontextmanager
async def offered(app: FastAPI, guard: FlashGuard, settings: Settings) -> AsyncIterator[None]:
    """Offer the providers of the settings, if there are any."""
    app.state.payments = None
    if not settings.payment_providers:
        yield
        return
    from flashguard.payments import Payments

    app.state.payments = payments = Payments(guard, settings)
    try:
        yield
    finally:
        await payments.close()


@router.get(
    "/payment-providers",
    response_model=PageView[ProviderView],
    responses=problems(401, 403),
    dependencies=[requires(Right.READ_SALES)],
)
async def list_payment_providers(request: Request) -> Response:
    """List the payment providers, in the order of the settings. Where there is none, holds are confirmed
    without a payment."""
    payments = payments_of(request)
    names = () if payments is None else payments.names
    return json_response({"data": [{"name": name} for name in names], "next_cursor": None})


@router.post(
    "/reservations/{id}/payment",
    response_model=PaymentView,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def begin_payment(
    request: Request, caller: Annotated[Caller, requires(Right.SELL)], id: IdParam, body: PaymentBody
) -> Response:
    """Begin the payment of a live hold, at the sale's prices. The hold gets its time again, and the payment
    ends with it. When it is paid, the hold is confirmed, or the money goes back.

    A second call returns the same payment while the buyer can pay. Another provider, or an amended hold, gets
    a new one, and the old one ends.
    """
    refused = await buyer_calls.refusal_of(guard_of(request), caller, id)
    if refused is not None:
        return refused
    payments = payments_of(request)
    if payments is None:
        return _unknown(body.provider)
    answer = await payments.begin(id, body.provider, body.success_url, body.cancel_url)
    return problem(answer) if isinstance(answer, Refused) else json_response(answer)


@router.post(
    "/payments/{provider}/webhook",
    response_model=TakenView,
    responses=problems(401, 404, 503),
)
async def take_payment_event(request: Request, provider: ProviderParam) -> Response:
    """Take a provider's event, as the provider sends and signs it. Each counts once, in any order."""
    payments = payments_of(request)
    if payments is None:
        return _unknown(provider)
    from flashguard.payments import Forged

    try:
        taken = await payments.take(provider, request.headers, await request.body())
    except Forged as error:
        return problem(Refused(code=Code.UNAUTHENTICATED, detail=str(error)))
    return problem(taken) if isinstance(taken, Refused) else json_response({"taken": taken})


@router.get(
    "/reservations/{id}/payments",
    response_model=PageView[PaymentView],
    responses=problems(401, 403, 404, 503),
)
async def list_payments_of_reservation(
    request: Request, caller: Annotated[Caller, requires(Right.READ_SALES)], id: IdParam
) -> Response:
    """List the payments for a hold or an order, the oldest first, with their refunds."""
    refused = await buyer_calls.refusal_of(guard_of(request), caller, id)
    if refused is not None:
        return refused
    payments = payments_of(request)
    found = [] if payments is None else await payments.of_reservation(id)
    return json_response({"data": found, "next_cursor": None})


@router.get(
    "/payments",
    response_model=PageView[PaymentView],
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[requires(Right.READ_ORDERS)],
)
async def list_payments(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = 50,
    sale: Annotated[str | None, Query(max_length=64, description="Only this sale's")] = None,
    status: Annotated[PaymentStatus | None, Query()] = None,
    reservation: Annotated[
        str | None, Query(max_length=100, description="Only those for this hold or order")
    ] = None,
    refund: Annotated[
        RefundStatus | None,
        Query(description="Only those with a refund in this state, not retried"),
    ] = None,
) -> Response:
    """List payments, newest first: of all sales or of one."""
    payments, sale_id = payments_of(request), None if sale is None else known(sale)
    if sale_id is not None and await guard_of(request).ledger.sales.get(sale_id) is None:
        return problem(unknown_sale(sale_id))
    before, rows = decode_cursor(cursor), []
    if payments is not None:
        rows = await payments.page(
            before, limit + 1, sale=sale_id, reservation=reservation, status=status, refund=refund
        )
    return json_response(
        page(rows, limit, lambda row: encode_cursor(row.created_at, row.id), lambda row: row)
    )


@router.get(
    "/payments/{id}",
    response_model=PaymentView,
    responses=problems(401, 403, 404, 503),
    dependencies=[requires(Right.READ_ORDERS)],
)
async def read_payment(request: Request, id: PaymentId) -> Response:
    """Read a payment with its refunds."""
    payments = payments_of(request)
    found = unknown(Code.UNKNOWN_PAYMENT, id) if payments is None else await payments.get(id)
    return problem(found) if isinstance(found, Refused) else json_response(found)


@router.post(
    "/payments/{id}/refund",
    response_model=PaymentView,
    responses=problems(401, 403, 404, 503),
    dependencies=[requires(Right.CHANGE_ORDERS)],
)
async def retry_refunds(request: Request, id: PaymentId) -> Response:
    """Ask the provider now for the refunds of a payment that are not done. In place of one that failed, a new
    one is asked for; money that went back never goes back again. Cancel the order to refund an order."""
    payments = payments_of(request)
    found = unknown(Code.UNKNOWN_PAYMENT, id) if payments is None else await payments.retry_refunds(id)
    return problem(found) if isinstance(found, Refused) else json_response(found)


def _unknown(provider: str) -> Response:
    detail = f"There is no payment provider {provider!r} here."
    return problem(Refused(code=Code.UNKNOWN_PROVIDER, detail=detail))
