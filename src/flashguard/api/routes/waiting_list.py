"""The waiting list: returned units are held for the buyers in it, in order."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.api.access import Caller
from flashguard.api.buyer_calls import NOT_THEIRS, TOKEN_NAMES_THEM, key_of, may_act_for
from flashguard.api.middleware.rate_limit import count_customer
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.views import json_response
from flashguard.api.schemas.waiting import WaitingBody, WaitingView
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import Admission, Refused, Reservation, SaleId, unknown
from flashguard.waiting.waiting_list import WaitingEntry, WaitingStatus

from .dependencies import IdempotencyKey, Reader, SaleParam, Seller, guard_of, known

router = APIRouter(prefix="/v1", tags=["waiting list"])

EntryParam = Annotated[str, Path(max_length=100, description="The entry's id")]


async def _entry_response(
    guard: FlashGuard, entry: WaitingEntry, status: int = 200, *, replayed: bool = False
) -> Response:
    reservation: Reservation | None = None
    if entry.status is WaitingStatus.OFFERED:
        found = await guard.reservation(entry.id)
        if isinstance(found, Refused):
            return problem(found)
        reservation = found
    view = msgspec.structs.asdict(entry) | {"reservation": reservation}
    return json_response(view, status, replayed=replayed)


async def _visible_entry(guard: FlashGuard, caller: Caller, id_: str) -> WaitingEntry | Refused:
    """Return the entry; to a buyer, another buyer's entry does not exist."""
    if caller.customer is not None and not id_.startswith(f"{caller.sale}."):
        return unknown(Code.UNKNOWN_ENTRY, id_)
    entry = await guard.waiting.see(id_)
    if caller.customer is not None and not isinstance(entry, Refused) and entry.customer != caller.customer:
        return unknown(Code.UNKNOWN_ENTRY, id_)
    return entry


@router.post(
    "/sales/{sale}/waiting-list",
    status_code=201,
    response_model=WaitingView,
    responses=problems(401, 403, 404, 409, 422, 429, 503),
)
async def join(
    request: Request,
    caller: Seller,
    sale: SaleParam,
    body: WaitingBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Wait for units of a sold-out item. Returned units are held for waiting buyers, in order."""
    guard, sale_id = guard_of(request), known(sale)
    await count_customer(request, guard, caller, body.customer)
    if not may_act_for(guard, caller, sale_id, body.customer):
        return problem(NOT_THEIRS)
    if caller.customer is not None and body.identities is not None:
        return problem(TOKEN_NAMES_THEM)
    admitted_until: int | Admission = 0
    if body.admission is not None:
        admitted_until = guard.rooms.admitted_until(SaleId(sale_id), body.customer, body.admission)
    line = body.items[0]
    answer = await guard.waiting.join(
        sale_id, body.customer, line.sku, line.quantity,
        key=key_of(caller, valid_key(idempotency_key)), admitted_until=admitted_until,
        identities=caller.identities or body.identities,
    )  # fmt: skip
    if isinstance(answer, Refused):
        return problem(answer)
    return await _entry_response(guard, answer[0], 201, replayed=answer[1])


@router.get("/waiting-list/{id}", response_model=WaitingView, responses=problems(401, 403, 404, 503))
async def read_entry(request: Request, caller: Reader, id: EntryParam) -> Response:
    """Read a place in the list; once its units are offered, with their reservation and receipt."""
    guard = guard_of(request)
    entry = await _visible_entry(guard, caller, id)
    return problem(entry) if isinstance(entry, Refused) else await _entry_response(guard, entry)


@router.delete("/waiting-list/{id}", response_model=WaitingView, responses=problems(401, 403, 404, 409, 503))
async def leave(request: Request, caller: Seller, id: EntryParam) -> Response:
    """Leave the list. Units that were offered and not confirmed are released for the next buyer."""
    guard = guard_of(request)
    entry = await _visible_entry(guard, caller, id)
    if not isinstance(entry, Refused):
        entry = await guard.waiting.leave(id)
    if isinstance(entry, Refused):
        return problem(entry)
    if entry.status is WaitingStatus.OFFERED:
        released = await guard.release(entry.id)
        if isinstance(released, Refused) and released.code not in (
            Code.RESERVATION_CONFIRMED, Code.RESERVATION_EXPIRED
        ):  # fmt: skip
            return problem(released)
    return await _entry_response(guard, entry)
