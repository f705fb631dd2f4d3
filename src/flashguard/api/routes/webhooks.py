"""Webhooks: endpoints, their secrets, the delivery log, and replays."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.bodies import RequestBody
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.sales import Time
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.model import Refused, unknown
from flashguard.webhooks import Endpoint, NewEndpoint, Webhooks
from flashguard.webhooks.addresses import MAX_URL
from flashguard.webhooks.endpoints import EVENT_TYPES, MAX_DESCRIPTION, EventType

from .dependencies import IdempotencyKey, Limit, guard_of

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[requires(Right.MANAGE_WEBHOOKS)])

DeliveryState = Literal["pending", "delivered", "failed"]
TestEventType = Literal["webhook.test"]
Events = Annotated[list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES))]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL,
        examples=["https://shop.example/flashguard"],
        json_schema_extra={"format": "uri", "pattern": "^https?://"},
    ),
]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]
IdParam = Annotated[str, Path(max_length=40, description="The endpoint's id")]
MAX_IDS = 500


class WebhookBody(RequestBody):
    """An endpoint to create."""

    url: Url
    events: Events | None = Field(None, description="Omitted: all")
    description: Description = ""


class WebhookPatch(RequestBody):
    """What to change."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None


class RotateBody(RequestBody):
    """How long the old secret signs beside the new one."""

    overlap_seconds: int = Field(86_400, ge=0, le=30 * 86_400)


class ReplayBody(RequestBody):
    """Which messages to deliver again: by id, by time and state, or all."""

    deliveries: list[Annotated[int, Field(ge=1, le=2**53 - 1)]] | None = Field(None, max_length=MAX_IDS)
    since: Time | None = None
    until: Time | None = None
    state: Literal["delivered", "failed"] | None = None


class WebhookView(BaseModel):
    id: str
    url: str
    description: str
    events: list[EventType]
    enabled: bool
    disabled_at: datetime | None
    disabled_why: str | None
    failing_since: datetime | None
    delivered_at: datetime | None
    pending: int = Field(description="Messages waiting for delivery, counted up to 100,000")
    created_at: datetime
    old_secret_until: datetime | None
    secret: str | None = Field(description="Only in the answer that creates or rotates it")


class WebhooksView(BaseModel):
    data: list[WebhookView]
    next_cursor: None


class DeliveryView(BaseModel):
    id: int
    message_id: str
    type: EventType | TestEventType
    sale_id: str = Field(description="The sale's id; empty for a test event")
    reservation_id: str | None
    at: datetime
    written_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    status: int | None
    error: str | None
    took_ms: int | None


class ReplayView(BaseModel):
    replayed: int


def _webhooks(request: Request) -> Webhooks:
    state = request.app.state
    private = state.settings.webhook_private_addresses
    return Webhooks(guard_of(request).ledger, private=private, sealer=state.sealer)


def _changing(request: Request, **detail: object) -> Webhooks:
    """Return what manages endpoints for a call that changes one: with the call's line of the admin log."""
    state, action = request.app.state, action_of(request)
    action.about(action.target, **detail)
    private = state.settings.webhook_private_addresses
    return Webhooks(guard_of(request).ledger, private=private, action=action, sealer=state.sealer)


def _made(answer: tuple[Endpoint, bool] | Refused, status: int) -> Response:
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(answer[0], status, replayed=answer[1])


@router.post("", status_code=201, response_model=WebhookView, responses=problems(401, 403, 422, 503))
async def create_webhook(
    request: Request, body: WebhookBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create an endpoint. Only this answer shows its secret."""
    new = NewEndpoint(
        url=body.url, events=tuple(dict.fromkeys(body.events or EVENT_TYPES)), description=body.description
    )
    return _made(await _changing(request).create(new, key=valid_key(idempotency_key)), 201)


@router.get("", response_model=WebhooksView, responses=problems(401, 403, 503))
async def list_webhooks(request: Request) -> Response:
    """List all endpoints and the state of their deliveries, oldest first."""
    return json_response({"data": await _webhooks(request).endpoints(), "next_cursor": None})


@router.get("/{id}", response_model=WebhookView, responses=problems(401, 403, 404, 503))
async def read_webhook(request: Request, id: IdParam) -> Response:
    """Read an endpoint and the state of its deliveries."""
    found = await _webhooks(request).endpoint(id)
    return problem(unknown(Code.UNKNOWN_WEBHOOK, id)) if found is None else json_response(found)


@router.patch("/{id}", response_model=WebhookView, responses=problems(401, 403, 404, 422, 503))
async def change_webhook(request: Request, id: IdParam, body: WebhookPatch) -> Response:
    """Change an endpoint. Enabling it again delivers the messages that still wait for it."""
    answer = await _changing(request, fields=sorted(body.model_fields_set)).change(
        id, url=body.url, description=body.description, enabled=body.enabled,
        events=None if body.events is None else tuple(dict.fromkeys(body.events)),
    )  # fmt: skip
    return problem(answer) if isinstance(answer, Refused) else json_response(answer)


@router.delete("/{id}", status_code=204, response_model=None, responses=problems(401, 403, 404, 503))
async def delete_webhook(request: Request, id: IdParam) -> Response:
    """Delete an endpoint and the messages that wait for it."""
    return (
        Response(status_code=204)
        if await _changing(request).delete(id)
        else problem(unknown(Code.UNKNOWN_WEBHOOK, id))
    )


@router.post("/{id}/rotate-secret", response_model=WebhookView, responses=problems(401, 403, 404, 422, 503))
async def rotate_webhook_secret(
    request: Request, id: IdParam, body: RotateBody | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Give an endpoint a new secret, shown once. For `overlap_seconds` messages carry signatures of both."""
    overlap = (body or RotateBody()).overlap_seconds
    webhooks = _changing(request, overlap_seconds=overlap)
    answer = await webhooks.rotate(id, overlap_seconds=overlap, key=valid_key(idempotency_key))
    return _made(answer, 200)


@router.get(
    "/{id}/deliveries", response_model=PageView[DeliveryView], responses=problems(401, 403, 404, 422, 503)
)
async def list_webhook_deliveries(
    request: Request,
    id: IdParam,
    cursor: Annotated[int | None, Query(ge=1, le=2**53 - 1)] = None,
    limit: Limit = 50,
    state: DeliveryState | None = None,
) -> Response:
    """Read the delivery log, newest first: each message and the newest attempt to deliver it."""
    rows = await _webhooks(request).deliveries(id, cursor, limit + 1, state)
    if rows is None:
        return problem(unknown(Code.UNKNOWN_WEBHOOK, id))
    more = len(rows) > limit
    return json_response({"data": rows[:limit], "next_cursor": str(rows[limit - 1].id) if more else None})


@router.post(
    "/{id}/test", status_code=202, response_model=DeliveryView, responses=problems(401, 403, 404, 422, 503)
)
async def send_test_event(request: Request, id: IdParam, idempotency_key: IdempotencyKey = None) -> Response:
    """Send a signed `webhook.test` event to an endpoint; the delivery log shows the result.

    One at a time: while a test event waits, the answer is that event, sent immediately if it failed before.
    """
    answer = await _changing(request).test(id, key=valid_key(idempotency_key))
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(answer[0], 202, replayed=answer[1])


@router.post("/{id}/replay", response_model=ReplayView, responses=problems(401, 403, 404, 422, 503))
async def replay_webhook(request: Request, id: IdParam, body: ReplayBody) -> Response:
    """Deliver messages of the log again, at most 10,000; their ids stay the same."""
    count = await _changing(request, fields=sorted(body.model_fields_set)).replay(
        id, deliveries=body.deliveries, since=body.since, until=body.until, state=body.state
    )
    return problem(unknown(Code.UNKNOWN_WEBHOOK, id)) if count is None else json_response({"replayed": count})
