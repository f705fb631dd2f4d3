"""The feed of facts."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.facts import FactFeed
from flashguard.facts.cursor import MAX_CURSOR
from flashguard.model import Refused
from flashguard.webhooks.endpoints import EventType

router = APIRouter(prefix="/v1/facts", tags=["facts"], dependencies=[requires(Right.READ_FACTS)])

MAX_WAIT_SECONDS: Final = 30


class FactView(BaseModel):
    """What happened: the same as the body of a webhook message."""

    id: str = Field(
        description="The same each time the fact is read; also the `webhook-id` of its messages",
        examples=["msg_5f0c3a9e1b7d4c2f8a6e0d1c2b3a4958"],
    )
    type: EventType = Field(examples=["sale.opened"])
    timestamp: datetime = Field(description="When it happened", examples=["2026-11-24T12:00:00.123000Z"])
    data: dict[str, Any] = Field(
        description="The reservation, order or sale, as the webhook message of this type has it",
        examples=[{"sale_id": "demo", "status": "open"}],
    )


class FactsView(BaseModel):
    """Facts, in order per reservation, and the cursor of those that follow; it is never null."""

    data: list[FactView]
    next_cursor: str = Field(
        description="Send it back as `after` for the facts that follow", examples=["lM8ABgAAAAAAAJABAQ"]
    )
    since: datetime = Field(description="When the feed began: no fact before this time is in it")


@router.get("", response_model=FactsView, responses=problems(401, 403, 410, 422, 503))
async def read_facts(
    request: Request,
    after: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR,
            description="The `next_cursor` of a page; or `now`: only what happens from now on. Omitted: from "
            "the oldest fact that is kept",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for a fact if there is none")
    ] = 0,
) -> Response:
    """Read the next facts: all that webhooks tell, without a gap, at least once, in order per reservation.

    The very first read starts the feed: facts are written from then on (`since`), until the feed was not
    read for 14 days (`FLASHGUARD_FACT_DAYS`), which is also how long they are kept. `cursor-expired`: facts
    after the cursor are gone.
    """
    feed: FactFeed = request.app.state.facts
    reading = asyncio.create_task(feed.read(after, limit, wait_seconds=wait))
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((reading, gone), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return Response(status_code=204)  # the client has left
        page = reading.result()
    finally:
        reading.cancel()
        gone.cancel()
    return problem(page) if isinstance(page, Refused) else json_response(page)


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
