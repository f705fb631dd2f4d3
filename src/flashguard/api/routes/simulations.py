"""Simulations: runs the command line's simulator as a child process of the API."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.event_stream import EventStream
from flashguard.api.responses.problems import RefusedError, problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.live import event_stream
from flashguard.api.schemas.simulations import (
    SimulationBody,
    SimulationEvents,
    SimulationsPage,
    SimulationView,
)
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.engine.receipts import IdKind
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.simulator.desk import Desk
from flashguard.simulator.plan import environment

from .dependencies import IdempotencyKey, guard_of, simulations_enabled, simulations_offered

router = APIRouter(prefix="/v1/simulations", tags=["simulations"])

IdParam = Annotated[str, Path(pattern="^[0-9a-f]{1,64}$", description="The simulation's id")]
LOCAL_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0", "::", "::1", "")  # noqa: S104
"""Values of FLASHGUARD_HOST with which the service is reachable at 127.0.0.1."""


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def own_url(request: Request) -> str:
    """Return this service's address at 127.0.0.1: a simulation sends requests to no other service.

    Raises:
        RefusedError: the service does not listen there.
    """
    server = request.scope.get("server")
    host = request.app.state.settings.host
    if not server or server[1] is None or not (host in LOCAL_HOSTS or host.startswith("127.")):
        raise RefusedError(
            Refused(code=Code.FORBIDDEN, detail="Simulations need a service that listens on 127.0.0.1.")
        )
    return f"http://127.0.0.1:{server[1]}"


@router.post(
    "",
    status_code=202,
    response_model=SimulationView,
    responses=problems(401, 403, 409, 422, 503),
    dependencies=[requires(Right.RUN_SIMULATIONS)],
)
async def start(request: Request, body: SimulationBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Start a simulation against this service; one runs at a time.

    The same idempotency key returns the simulation that it started, as it is now.
    """
    key = valid_key(idempotency_key)
    if not simulations_enabled(request.app.state.settings):
        detail = "Simulations are off in production mode; FLASHGUARD_SIMULATIONS=true turns them on."
        return problem(Refused(code=Code.FORBIDDEN, detail=detail))
    strategies = tuple(dict.fromkeys(body.strategies))
    id_ = None if key is None else guard_of(request).signer.id_of_key(IdKind.SIMULATION, key)
    action_of(request).about("", buyers=body.buyers, stock=body.stock, strategies=strategies)
    progress, replayed = await desk_of(request).start(
        body.buyers, body.stock, strategies, own_url(request), retry_id=id_
    )
    action_of(request).about(progress.id)
    return json_response(progress.view(), 202, replayed=replayed)


@router.get(
    "",
    response_model=SimulationsPage,
    responses=problems(401, 403, 503),
    dependencies=[requires(Right.RUN_SIMULATIONS)],
)
async def list_simulations(request: Request) -> Response:
    """List the newest 50 simulations, without their logs and series."""
    settings = request.app.state.settings
    return json_response(
        {
            "data": await desk_of(request).newest(),
            "next_cursor": None,
            "environment": environment(settings.embedded),
            **simulations_offered(settings),
        }
    )


@router.get("/{id}", response_model=SimulationView, responses=problems(404, 422, 503))
async def read_simulation(request: Request, id: IdParam) -> Response:
    """Read a simulation, running or ended. Any caller who has its address may read it."""
    return json_response((await desk_of(request).get(id)).view())


@router.post(
    "/{id}/stop",
    response_model=SimulationView,
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[requires(Right.RUN_SIMULATIONS)],
)
async def stop(request: Request, id: IdParam) -> Response:
    """Ask a simulation to end early; one that has ended stays as it is."""
    return json_response((await desk_of(request).stop(id)).view())


@router.get(
    "/{id}/events",
    status_code=200,
    response_class=EventStream,
    responses=event_stream(SimulationEvents) | problems(404, 422, 503),
)
async def simulation_events(request: Request, id: IdParam) -> Response:
    """Stream Server-Sent Events: the whole `simulation` first, then its progress, and the whole again at its
    end.

    The stream ends with the simulation.
    """
    return EventStream(await desk_of(request).watch(id))
