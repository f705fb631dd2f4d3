"""The waiting room: issue, read and leave tickets; and the lottery, for anyone to verify."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Caller
from flashguard.api.buyer_calls import NOT_THEIRS, may_act_for, ticket_refusal
from flashguard.api.hot_calls import READ_TICKET
from flashguard.api.live.lifespan import ticket_streams_of
from flashguard.api.middleware.rate_limit import count_customer
from flashguard.api.responses.event_stream import EventStream
from flashguard.api.responses.problems import RefusedError, problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.bodies import Customer, RequestBody
from flashguard.api.schemas.live import TicketEvents, event_stream
from flashguard.api.schemas.rooms import PlaceView
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.model import MAX_NAME, CustomerId, Refused, SaleId, unknown, unknown_sale
from flashguard.model.lottery import MOST_NUMBER

from .dependencies import Reader, SaleParam, Seller, guard_of, known, route_of, visible_sale

router = APIRouter(prefix="/v1/sales/{sale}", tags=["waiting room"])

TicketParam = Annotated[str, Path(max_length=100, description="The ticket's id")]
MAX_PAGE = 5_000
CHALLENGE = {
    "parameters": {
        "algorithm": "SCRYPT", "cost": 2048, "memoryCost": 8, "parallelism": 1, "keyLength": 32,
        "keyPrefix": "0f1a35c28d9be07745f5f2b0c6a1d93e",
        "keySignature": "b5c2fd5e8f0a41d36b7790d51a4e2c1de8b7a09f6653d7c1c0c7b4a8e2f19d60",
        "nonce": "11d1006bc38b93f9a202be314af1e08f", "salt": "1f7bfa147aa76c757c15f703667be990",
        "expiresAt": 1809345600, "data": {"sale": "demo", "customer": "zS1hV0kYb2o9cXf3", "tries": 256},
    },
    "signature": "3ce25494caeccebb34546a9cb46ba0121f0f95a866de1d79a19692ac766faa6f",
}  # fmt: skip


class TicketBody(RequestBody):
    """Who wants a place in the waiting room."""

    customer: Customer
    ticket: str | None = Field(
        None,
        max_length=4096,
        description="The signed ticket issued before: keeps the place after a loss of memory",
    )
    proof: str | None = Field(
        None, max_length=4096, description="The solved challenge in base64, where the room requires one"
    )


class LeftView(BaseModel):
    id: str
    status: Literal["left"]


class DrawingView(BaseModel):
    """The lottery; `seed` and `data` are empty until it is drawn."""

    mode: Literal["lottery", "fifo"]
    commitment: str = Field(description="SHA-256 of the seed, in hex; published when the sale was created")
    seed: str | None = Field(description="In hex")
    drawn_at: datetime | None
    waiting: int
    active: int
    admitted: int
    tickets: int = Field(description="Number of tickets in the lottery")
    data: list[str] = Field(description="Ids of the tickets, in the order of admission")
    next_cursor: str | None


def _room(caller: Caller, sale: str) -> SaleId:
    """Return the sale's id, if the caller may see its room.

    Raises:
        RefusedError: the text can't be a sale's id, or the buyer's token is for another sale.
    """
    sale_id = known(sale)
    if caller.customer is not None and caller.sale != sale_id:
        raise RefusedError(NOT_THEIRS)
    return sale_id


async def _ticket(request: Request, caller: Caller, sale: str, ticket: str) -> SaleId:
    """Return the sale's id, if the caller may use this ticket.

    Raises:
        RefusedError: the caller may not; to a buyer, another buyer's ticket does not exist.
    """
    sale_id = known(sale)
    refused = await ticket_refusal(guard_of(request), caller, sale_id, ticket)
    if refused:
        raise RefusedError(refused)
    return sale_id


@router.post(
    "/tickets",
    status_code=201,
    response_model=PlaceView,
    responses={200: {"model": PlaceView}, **problems(401, 403, 404, 409, 422, 429, 503)},
)
async def take_ticket(request: Request, caller: Seller, sale: SaleParam, body: TicketBody) -> Response:
    """Take a place in the sale's waiting room: 201, or 200 with the place that the customer already has.

    A sale issues tickets while it is scheduled, open or paused. `opens_at` says when a scheduled sale opens.
    """
    sale_id = known(sale)
    await count_customer(request, guard_of(request), caller, body.customer)
    if not may_act_for(guard_of(request), caller, sale_id, body.customer):
        return problem(NOT_THEIRS)
    answer = await guard_of(request).rooms.issue(
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
    """Read the place of a ticket. Once admitted, `admission` is what reserve and buy require."""
    return await READ_TICKET.handle(guard_of(request), caller, known(sale), ticket)


@router.get(
    "/tickets/{ticket}/events",
    status_code=200,
    response_class=EventStream,
    responses=event_stream(TicketEvents) | problems(401, 403, 404, 409, 422, 503),
)
async def ticket_events(
    request: Request,
    caller: Annotated[Caller, requires(READ_TICKET.right)],
    sale: SaleParam,
    ticket: TicketParam,
) -> Response:
    """Stream the place of a ticket as Server-Sent Events: `place` now and at each change.

    The stream ends after the `place` with the `admission`, or after a `problem`. After `away` the place is
    stale until the next `place`; `ping` is sent every 5 s.
    """
    sale_id = await _ticket(request, caller, sale, ticket)
    viewer = await ticket_streams_of(request).watch(sale_id, ticket)
    if isinstance(viewer, Refused):
        return problem(unknown(viewer.code, ticket) if viewer.code is Code.UNKNOWN_TICKET else viewer)
    return EventStream(viewer)


@router.post(
    "/tickets/{ticket}/leave", response_model=LeftView, responses=problems(401, 403, 404, 409, 422, 503)
)
async def leave_room(request: Request, caller: Seller, sale: SaleParam, ticket: TicketParam) -> Response:
    """Leave the room. Leaving twice has the same effect as once."""
    sale_id = await _ticket(request, caller, sale, ticket)
    refused = await guard_of(request).rooms.leave(sale_id, ticket)
    return problem(refused) if refused else json_response({"id": ticket, "status": "left"})


@router.get(
    "/challenge",
    response_model=dict[str, Any],
    responses=problems(401, 403, 404, 422, 503)
    | {200: {"content": {"application/json": {"example": CHALLENGE}}}},
)
async def challenge(
    request: Request,
    caller: Reader,
    sale: SaleParam,
    customer: Annotated[str, Query(min_length=1, max_length=MAX_NAME, description="Whose ticket it is for")],
) -> Response:
    """Get an ALTCHA challenge (scrypt), where the room requires one. Its solution is valid once, as the
    `proof` of this customer's ticket."""
    sale_id = known(sale)
    if not may_act_for(guard_of(request), caller, sale_id, customer):
        return problem(NOT_THEIRS)
    answer = await guard_of(request).rooms.proofs.challenge(sale_id, customer)
    return problem(answer) if isinstance(answer, Refused) else json_response(answer)


@router.get("/lottery", response_model=DrawingView, responses=problems(401, 403, 404, 422, 503))
async def lottery(
    request: Request,
    caller: Reader,
    sale: SaleParam,
    cursor: Annotated[int, Query(ge=0, le=MOST_NUMBER)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 500,
) -> Response:
    """Read the waiting room and the order of its lottery. With the seed, anyone can repeat the drawing."""
    sale_id = _room(caller, sale)
    if not caller.is_shop and await visible_sale(guard_of(request), caller, sale_id) is None:
        return problem(unknown_sale(sale_id))
    answer = await guard_of(request).rooms.drawing(sale_id, cursor, limit)
    if isinstance(answer, Refused):
        return problem(answer)
    view = msgspec.structs.asdict(answer)
    view["data"] = view.pop("page")
    next_start = view.pop("next_start")
    view["next_cursor"] = None if next_start is None else str(next_start)
    return json_response(view)
