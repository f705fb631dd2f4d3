"""The admin log: what operators did."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.sales import Time
from flashguard.api.schemas.views import decode_cursor, encode_cursor, json_response, page
from flashguard.api.security import requires
from flashguard.ledger.admin_log import MAX_TEXT, ActionOutcome, AdminLogBook, LogFilter

from .dependencies import Cursor, Limit, guard_of, printable

router = APIRouter(prefix="/v1/admin-log", tags=["admin log"], dependencies=[requires(Right.READ_ADMIN_LOG)])


class AdminActionView(BaseModel):
    """What an operator did, or was refused."""

    id: str
    at: datetime
    actor: str
    actor_name: str | None
    operation: str
    target: str
    outcome: ActionOutcome
    code: str | None
    detail: dict[str, Any]
    address: str | None
    agent: str | None
    request_id: str | None


def _filter(text: str) -> Any:
    return Query(max_length=MAX_TEXT, description=text)


@router.get("", response_model=PageView[AdminActionView], responses=problems(401, 403, 422, 503))
async def read_admin_log(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = 50,
    actor: Annotated[str | None, _filter("Only of this key's id, or `bootstrap`")] = None,
    operation: Annotated[str | None, _filter("Only this call, as in `POST /v1/keys`")] = None,
    target: Annotated[str | None, _filter("Only about this sale, order, key or endpoint")] = None,
    outcome: Annotated[ActionOutcome | None, Query(description="Only with this outcome")] = None,
    since: Annotated[Time | None, Query(description="At this time or later")] = None,
    until: Annotated[Time | None, Query(description="Before this time")] = None,
) -> Response:
    """Read what operators did, newest first: every call that changes something and that only an admin may
    make, and every amend, cancel or refund of an order. Reads are not in it."""
    which = LogFilter(
        actor=printable(actor, "actor"), operation=printable(operation, "operation"),
        target=printable(target, "target"), outcome=outcome, since=since, until=until,
    )  # fmt: skip
    rows = await AdminLogBook(guard_of(request).ledger).page(decode_cursor(cursor), limit + 1, which)
    return json_response(page(rows, limit, lambda row: encode_cursor(row.at, row.id), lambda row: row))
