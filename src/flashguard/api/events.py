"""A sale's live events."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from flashguard.errors import Code
from flashguard.model import Refused

from .live_schemas import SaleEvents, event_stream
from .problems import problem
from .sales import SaleParam, known
from .schemas import problems

router = APIRouter(prefix="/v1/sales", tags=["live"])

LastEventId = Annotated[str | None, Header(max_length=64, description="Sent by a browser that reconnects")]
LastEventIdQuery = Annotated[
    str | None, Query(max_length=64, description="The same, for a page that makes a new EventSource")
]


@router.get(
    "/{sale}/events", response_class=Response, responses=event_stream(SaleEvents) | problems(404, 503)
)
async def sale_events(
    request: Request,
    sale: SaleParam,
    last_event_id: LastEventIdQuery = None,
    header_id: Annotated[LastEventId, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Server-Sent Events: the `sale` first, then its changed `stock` at most every 100 ms."""
    known(sale)
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))
