"""The system: version, environment, components, and the kernel's scripts as this process calls them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard import __version__
from flashguard.api.access import Right
from flashguard.api.components import components_of
from flashguard.api.live.lifespan import hub_of
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.system import ScriptsView, ScriptView, SystemView
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.kernel.verbs import Verb
from flashguard.model import Refused
from flashguard.simulator.plan import environment

from .dependencies import guard_of, simulations_offered

router = APIRouter(
    prefix="/v1", tags=["system"], dependencies=[requires(Right.READ_SYSTEM)], responses=problems(401, 403)
)


@router.get("/system", response_model=SystemView)
async def system(request: Request) -> Response:
    """Read the version, the environment and every component's state. Always 200: each component has its own
    status."""
    guard, settings = guard_of(request), request.app.state.settings
    components = {"api": {"status": "ok", "version": __version__}} | await components_of(
        guard, request.app.state.journal_watch
    )
    return json_response(
        {
            "version": __version__,
            "mode": settings.mode,
            "environment": environment(settings.embedded),
            "partitions": guard.partitions,
            "workers": settings.workers,
            "components": components | {"live": {"status": "ok", "viewers": hub_of(request).viewers}},
            "simulations": simulations_offered(settings),
        }
    )


@router.get("/kernel/scripts", response_model=ScriptsView)
async def list_scripts(request: Request) -> Response:
    """List the kernel's scripts."""
    kernel = guard_of(request).kernel
    return json_response({"data": [{"name": verb, "sha": kernel.script(verb)[0]} for verb in Verb]})


@router.get("/kernel/scripts/{name}", response_model=ScriptView, responses=problems(404))
async def read_script(request: Request, name: Annotated[str, Path(max_length=64)]) -> Response:
    """Read a script of the kernel, as this process calls it."""
    if name not in list(Verb):
        return problem(Refused(code=Code.INVALID_REQUEST, detail=f"There is no script {name!r}."), status=404)
    sha, source = guard_of(request).kernel.script(Verb(name))
    return json_response({"name": name, "sha": sha, "source": source})
