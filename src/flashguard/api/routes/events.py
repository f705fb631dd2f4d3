"""A sale's live events."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from flashguard.api.live.lifespan import hub_of
from flashguard.api.responses.event_stream import EventStream
from flashguard.api.responses.problems import ProblemError
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.live import SaleEvents, event_stream
from flashguard.api.security import callers_of
from flashguard.model import unknown_sale

from .dependencies import SaleParam, known

router = APIRouter(prefix="/v1/sales", tags=["live"])

MAX_EVENT_ID = 64


@router.get(
    "/{sale}/events",
    status_code=200,
    response_class=EventStream,
    responses=event_stream(SaleEvents) | problems(404, 503),
)
async def sale_events(
    request: Request,
    sale: SaleParam,
    last_event_id: Annotated[
        str | None,
        Query(max_length=MAX_EVENT_ID, description="The newest id seen, from a page that connects anew"),
    ] = None,
    reconnect: Annotated[
        str | None,
        Header(alias="Last-Event-ID", max_length=MAX_EVENT_ID, description="The same, from a browser"),
    ] = None,
) -> Response:
    """Server-Sent Events: the `sale` first, then its changed `stock` at most every 100 ms.

    With the id of an event that is still in reach, only what changed since. `away` says that the numbers are
    stale until the next `sale` or `stock`; `ping` comes every 5 s. A draft is `unknown-sale` for callers
    without an API key.
    """
    try:
        viewer = await hub_of(request).watch_sale(
            known(sale), reconnect or last_event_id, may_see_draft=lambda: _is_shop(request)
        )
    except LookupError:
        raise ProblemError(unknown_sale(sale)) from None
    return EventStream(viewer)


async def _is_shop(request: Request) -> bool:
    """Whether an API key was sent. Asked for drafts alone: other sales' events are public."""
    sent = request.headers.getlist("authorization")
    try:
        return len(sent) == 1 and (await callers_of(request).find(sent[0].encode("latin-1"))).is_shop
    except ProblemError:
        return False
