"""The waiting room over HTTP: tickets are taken, looked at and left; and the lottery, to be checked."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Caller
from flashguard.api.buyer_calls import NOT_THEIRS, may_act_for, ticket_refusal
from flashguard.api.hot_calls import READ_TICKET
from flashguard.api.middleware.rate_limit import count_customer
from flashguard.api.responses.problems import ProblemError, problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.bodies import Body, Customer
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.model import CustomerId, Refused, SaleId, unknown_sale

from .dependencies import Reader, SaleParam, Seller, guard_of, known, route_of, visible_sale

router = APIRouter(prefix="/v1/sales/{sale}", tags=["waiting room"])

TicketParam = Annotated[str, Path(max_length=100, description="The ticket's id")]
PAGE_MOST = 5_000
CHALLENGE = {
    "parameters": {
        "algorithm": "SHA-256", "cost": 1, "keyLength": 32, "keyPrefix": "0000",
        "nonce": "11d1006bc38b93f9a202be314af1e08f", "salt": "1f7bfa147aa76c757c15f703667be990",
        "expiresAt": 1809345600, "data": {"sale": "demo"},
    },
    "signature": "3ce25494caeccebb34546a9cb46ba0121f0f95a866de1d79a19692ac766faa6f",
}  # fmt: skip


class TicketBody(Body):
    """Who wants a place."""

    customer: Customer
    ticket: str | None = Field(
        None, max_length=4096, description="The signed ticket that came before: keeps its place after a loss"
    )
    proof: str | None = Field(
        None, max_length=4096, description="The solved challenge, base64, where the room wants one"
    )


class PlaceView(BaseModel):
    id: str
    sale_id: str
    status: Literal["waiting", "admitted"]
    position: int | None = Field(
        description="How many are let in until it is this one's turn; null before a lottery is drawn"
    )
    waiting: int | None
    expected_wait_seconds: float | None = Field(
        description="Null before the drawing, and where it hangs on units that come back"
    )
    outlook: Literal["likely", "possible", "unlikely", "sold-out"] | None
    opens_at: datetime | None
    poll_after_seconds: float | None = Field(description="When to look again")
    admission: str | None = Field(description="What reserve and buy want, until `admitted_until`")
    admitted_until: datetime | None
    ticket: str | None = Field(
        description="Signed; keep it, and show it when the ticket is not known any more"
    )


class LeftView(BaseModel):
    id: str
    status: Literal["left"]


class DrawingView(BaseModel):
    """The lottery: `seed` and `data` are empty until it is drawn."""

    mode: Literal["lottery", "fifo"]
    commitment: str = Field(description="SHA-256 of the seed, in hex; published when the sale was made")
    seed: str | None = Field(description="In hex")
    drawn_at: datetime | None
    waiting: int
    active: int
    admitted: int
    tickets: int = Field(description="How many took part in the lottery")
    data: list[str] = Field(description="Their ids, in the order in which they are let in")
    next_cursor: str | None


def _room(caller: Caller, sale: str) -> SaleId:
    """The sale, as far as it is this caller's business.

    Raises:
        ProblemError: it can't be one, or a buyer's token is for another.
    """
    sale_id = known(sale)
    if caller.customer is not None and caller.sale != sale_id:
        raise ProblemError(NOT_THEIRS)
    return sale_id


def _ticket(request: Request, caller: Caller, sale: str, ticket: str) -> SaleId:
    """The sale; another's ticket is for a buyer one that does not exist."""
    sale_id = known(sale)
    refused = ticket_refusal(guard_of(request), caller, sale_id, ticket)
    if refused:
        raise ProblemError(refused)
    return sale_id


@router.post(
    "/tickets",
    status_code=201,
    response_model=PlaceView,
    responses={200: {"model": PlaceView}, **problems(401, 403, 404, 409, 422, 429, 503)},
)
async def take_ticket(request: Request, caller: Seller, sale: SaleParam, body: TicketBody) -> Response:
    """Takes a place in the sale's waiting room: 201, or 200 with the place that the customer has already.

    A sale takes tickets while it is scheduled, open or paused. `opens_at` says when a scheduled sale opens.
    """
    sale_id = known(sale)
    await count_customer(request, guard_of(request), caller, body.customer)
    if not may_act_for(guard_of(request), caller, sale_id, body.customer):
        return problem(NOT_THEIRS)
    answer = await guard_of(request).rooms.take(
        sale_id, CustomerId(body.customer), shown=body.ticket, proof=body.proof
    )
    if isinstance(answer, Refused):
        return problem(answer)
    place, had_it = answer
    return json_response(place, 200 if had_it else 201)


@route_of(router, READ_TICKET, response_model=PlaceView, responses=problems(401, 403, 404, 409, 422, 503))
async def look_at_ticket(
    request: Request,
    caller: Annotated[Caller, requires(READ_TICKET.right)],
    sale: SaleParam,
    ticket: TicketParam,
) -> Response:
    """Where a ticket stands now. Once admitted, `admission` is what reserve and buy want."""
    return await READ_TICKET.handle(guard_of(request), caller, known(sale), ticket)


@router.post(
    "/tickets/{ticket}/leave", response_model=LeftView, responses=problems(401, 403, 404, 409, 422, 503)
)
async def leave_room(request: Request, caller: Seller, sale: SaleParam, ticket: TicketParam) -> Response:
    """Gives the place to those who wait. Leaving twice is leaving."""
    sale_id = _ticket(request, caller, sale, ticket)
    refused = await guard_of(request).rooms.leave(sale_id, ticket)
    return problem(refused) if refused else json_response({"id": ticket, "status": "left"})


@router.get(
    "/challenge",
    response_model=dict[str, Any],
    responses=problems(401, 403, 404, 503) | {200: {"content": {"application/json": {"example": CHALLENGE}}}},
)
async def challenge(request: Request, caller: Reader, sale: SaleParam) -> Response:
    """A challenge of the ALTCHA kind; its solution is a ticket's `proof`, once."""
    return json_response(guard_of(request).rooms.proofs.challenge(_room(caller, sale)))


@router.get("/lottery", response_model=DrawingView, responses=problems(401, 403, 404, 422, 503))
async def lottery(
    request: Request,
    caller: Reader,
    sale: SaleParam,
    cursor: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 500,
) -> Response:
    """The waiting room, and the order that its lottery drew: with the seed, anyone can draw it again."""
    sale_id = _room(caller, sale)
    if not caller.is_shop and await visible_sale(guard_of(request), caller, sale_id) is None:
        return problem(unknown_sale(sale_id))
    answer = await guard_of(request).rooms.drawing(sale_id, cursor, limit)
    if isinstance(answer, Refused):
        return problem(answer)
    view = msgspec.structs.asdict(answer)
    view["data"] = page = view.pop("page")
    end = cursor + len(page)
    view["next_cursor"] = str(end) if page and end < answer.tickets else None
    return json_response(view)
