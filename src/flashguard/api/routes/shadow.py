"""A sale in shadow mode: what the shop's own stock decided, and where FlashGuard would have differed."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.bodies import IDENTITIES, Customer, Identities, LineBody, Name, RequestBody
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.model import MAX_LINES, Line, Refused, SaleId, Sku, unknown_sale
from flashguard.shadow.shadow import NotAShadow, ShadowMode, ShopAttempt

from .dependencies import SaleParam, guard_of, known

router = APIRouter(prefix="/v1/sales", tags=["shadow"])

MAX_ATTEMPTS = 200
NOT_A_SHADOW = Refused(
    code=Code.INVALID_REQUEST,
    detail="This sale is not a shadow. Only a draft can be made one, with `flashguard shadow begin` or "
    "POST .../shadow.",
)


class AttemptBody(RequestBody):
    """What the shop's own stock decided about one attempt."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=MAX_LINES)
    key: Name = Field(description="The shop's name for the attempt; sent again, it changes nothing")
    shop: Literal["sold", "refused", "returned"] = Field(
        description="`returned`: the units sold under this key are back in the shop's stock"
    )
    reference: Name | None = Field(None, description="The shop's own order number, to find it by")
    identities: Identities | None = Field(None, description=IDENTITIES)


class AttemptsBody(RequestBody):
    """What the shop's own stock decided about several attempts, in order."""

    attempts: list[AttemptBody] = Field(min_length=1, max_length=MAX_ATTEMPTS)


class ComparedView(BaseModel):
    key: str
    ours: str | None = Field(description="confirmed, or the code of the refusal; null for a return")
    agrees: bool


class ComparedListView(BaseModel):
    attempts: list[ComparedView]


class ShadowView(BaseModel):
    sale_id: str
    since: datetime


class ShadowItemView(BaseModel):
    sku: str
    stock: int
    shop_sold: int
    flashguard_sold: int
    shop_oversold: int


class DifferenceView(BaseModel):
    key: str
    customer: str
    items: list[LineBody]
    shop: str
    ours: str
    reference: str | None
    at: datetime
    returned_at: datetime | None


class ShadowReportView(BaseModel):
    sale_id: str
    since: datetime
    both_sold: int
    both_refused: int
    only_shop_sold: int
    only_flashguard_sold: int
    returned: int
    reasons: dict[str, int]
    items: list[ShadowItemView]
    differences: list[DifferenceView]


def _shadow(request: Request) -> ShadowMode:
    return ShadowMode(guard_of(request))


async def _no_shadow(request: Request, sale: SaleId) -> Response:
    """Return why there is nothing to compare: the sale does not exist, or is not a shadow."""
    if await guard_of(request).ledger.sales.get(sale) is None:
        return problem(unknown_sale(sale))
    return problem(NOT_A_SHADOW, status=409)


@router.post(
    "/{sale}/shadow",
    status_code=201,
    response_model=ShadowView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def begin_shadow(request: Request, sale: SaleParam) -> Response:
    """Make a draft a shadow: the shop's own stock decides, and FlashGuard compares."""
    sale_id = known(sale)
    since = await _shadow(request).begin(sale_id)
    if since is not None:
        return json_response({"sale_id": sale_id, "since": since}, 201)
    return await _no_shadow(request, sale_id)


@router.post(
    "/{sale}/shadow/attempts",
    response_model=ComparedListView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.RECORD_ATTEMPTS)],
)
async def tell(request: Request, sale: SaleParam, body: AttemptsBody) -> Response:
    """Record what the shop's own stock decided about these attempts, and decide each too. Refuses no
    buyer."""
    attempts = [
        ShopAttempt(
            key=each.key,
            customer=each.customer,
            lines=tuple(Line(Sku(line.sku), line.quantity) for line in each.items),
            shop=each.shop,
            reference=each.reference,
            identities=each.identities,
        )
        for each in body.attempts
    ]
    try:
        compared = await _shadow(request).record(known(sale), attempts)
    except NotAShadow:
        return await _no_shadow(request, known(sale))
    return problem(compared) if isinstance(compared, Refused) else json_response({"attempts": compared})


@router.get(
    "/{sale}/shadow",
    response_model=ShadowReportView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.READ_ORDERS)],
)
async def shadow_report(request: Request, sale: SaleParam) -> Response:
    """Report where the shop's own stock differed from FlashGuard: what it oversold, and what either
    refused."""
    sale_id = known(sale)
    report = await _shadow(request).report(sale_id)
    return await _no_shadow(request, sale_id) if report is None else json_response(report)
