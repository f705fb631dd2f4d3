"""A sale's live events."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from flashguard.api.live.lifespan import hub_of
from flashguard.api.responses.event_stream import EventStream
from flashguard.api.responses.problems import RefusedError
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
        Query(
            max_length=MAX_EVENT_ID, description="Id of the newest event received, for a page that reconnects"
        ),
    ] = None,
    reconnect: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=MAX_EVENT_ID,
            description="The same, sent by browsers that reconnect",
        ),
    ] = None,
) -> Response:
    """Stream Server-Sent Events: the `sale` first, then its changed `stock` at most every 100 ms.

    With the id of a recent event, the stream contains only changes since then. After `away` the numbers are
    stale until the next `sale` or `stock`; `ping` is sent every 5 s. A draft is `unknown-sale` for callers
    without an API key.
    """
    try:
        viewer = await hub_of(request).watch_sale(
            known(sale), reconnect or last_event_id, may_see_draft=lambda: _is_shop(request)
        )
    except LookupError:
        raise RefusedError(unknown_sale(sale)) from None
    return EventStream(viewer)


async def _is_shop(request: Request) -> bool:
    """Return whether an API key was sent. Only drafts need one: the events of other sales are public."""
    sent = request.headers.getlist("authorization")
    try:
        return len(sent) == 1 and (await callers_of(request).find(sent[0].encode("latin-1"))).is_shop
    except RefusedError:
        return False
