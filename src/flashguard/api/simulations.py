"""Simulations as a service."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.errors import Code
from flashguard.model import Refused

from .auth import Admin
from .live_schemas import (
    SimulationBody,
    SimulationEvents,
    SimulationsPage,
    SimulationView,
    event_stream,
)
from .problems import problem
from .schemas import problems
from .streams import EventStream

router = APIRouter(prefix="/v1/simulations", tags=["simulations"])

IdParam = Annotated[str, Path(max_length=64, description="The simulation's id")]


@router.post(
    "",
    status_code=202,
    response_model=SimulationView,
    responses=problems(401, 403, 409, 422, 503),
    dependencies=[Admin],
)
async def start(request: Request, body: SimulationBody) -> Response:
    """Starts a simulation against this very service; one at a time."""
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))


@router.get("", response_model=SimulationsPage, responses=problems(401, 503), dependencies=[Admin])
async def list_simulations(request: Request) -> Response:
    """The newest simulations, without their logs and series."""
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))


@router.get("/{id}", response_model=SimulationView, responses=problems(404, 503))
async def read_simulation(request: Request, id: IdParam) -> Response:
    """A simulation, running or over. Whoever has its address may read it."""
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))


@router.post(
    "/{id}/stop",
    response_model=SimulationView,
    responses=problems(401, 404, 503),
    dependencies=[Admin],
)
async def stop(request: Request, id: IdParam) -> Response:
    """Ends a simulation early; one that is over stays as it is."""
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))


@router.get(
    "/{id}/events",
    status_code=200,
    response_class=EventStream,
    responses=event_stream(SimulationEvents) | problems(404, 503),
)
async def simulation_events(request: Request, id: IdParam) -> Response:
    """Server-Sent Events: the whole `simulation` first, then what happens, and the whole again at its end."""
    return problem(Refused(code=Code.OVERLOADED, detail="Not built yet."))
