"""Liveness, and readiness per component."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from flashguard.api.components import components_of
from flashguard.api.schemas.system import NOT_READY, HealthView, ReadyView
from flashguard.api.schemas.views import json_response

from .dependencies import guard_of

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=HealthView)
async def healthz() -> Response:
    """Report that this process is running."""
    return json_response({"status": "ok"})


@router.get(
    "/readyz",
    response_model=ReadyView,
    responses={
        200: {"description": "Buyers can be served: each component is `ok` or `degraded`"},
        503: {
            "model": ReadyView,
            "description": "Buyers can't be served: a component is `unavailable` or `recovering`",
            "content": {"application/json": {"example": NOT_READY}},
        },
    },
)
async def readyz(request: Request) -> Response:
    """Report whether buyers can be served: 200 while each component is `ok` or `degraded`. 503 when
    Valkey/Redis or PostgreSQL does not answer or accepts no writes, when no recorder is running, or while a
    partition is being rebuilt or its journal is stuck; the component's `detail` names the reason."""
    components = await components_of(guard_of(request), request.app.state.journal_watch)
    states = {component["status"] for component in components.values()}
    ready = states <= {"ok", "degraded"}
    status = "unavailable" if not ready else "degraded" if "degraded" in states else "ok"
    return json_response({"status": status, "components": components}, 200 if ready else 503)
