"""How the framework checks rights: every route depends on a `Requires`, or is one of `OPEN`. A test walks
them all."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase

from flashguard.api.responses.problems import RefusedError
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Mode, Settings

from .access import ANONYMOUS, UNAUTHENTICATED, Caller, Callers, Right
from .admin_log import begin_action


class _Bearer(SecurityBase):
    """The `Authorization` header as sent; a bearer scheme in the OpenAPI document."""

    def __init__(self) -> None:
        self.scheme_name = "bearer"
        self.model = HTTPBearer(
            description="An API key or a buyer's token. In development mode buyers need neither."
        )

    async def __call__(self, request: Request) -> bytes | None:
        sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(sent) > 1:
            raise RefusedError(UNAUTHENTICATED)
        return sent[0] if sent else None


Authorization = Annotated[bytes | None, Depends(_Bearer())]


class Requires:
    """The dependency of a route that needs a right: returns the caller, or refuses one who lacks the
    right."""

    def __init__(self, right: Right) -> None:
        self.right = right

    # A coroutine although it rarely waits: the framework runs plain functions in a thread.
    async def __call__(self, request: Request, authorization: Authorization) -> Caller:
        state: Any = request.app.state
        settings: Settings = state.settings
        if authorization is None:
            if not self.right.for_anonymous or settings.mode is Mode.PRODUCTION:
                raise RefusedError(UNAUTHENTICATED)
            return ANONYMOUS
        caller = await callers_of(request).find(authorization)
        if self.right.is_logged and caller.key is not None and request.method != "GET":
            begin_action(request, caller.key)
        if not self.right.allows(caller):
            raise RefusedError(Refused(code=Code.FORBIDDEN))
        return caller


@cache
def requires(right: Right) -> Any:
    """Return the dependency that requires this right."""
    return Depends(Requires(right))


OPEN: Final = {
    "/healthz": "health",
    "/readyz": "health",
    "/openapi.json": "documentation, the same for every caller",
    "/v1/sales/{sale}/events": "shows no drafts; a browser's EventSource cannot send a key",
    "/v1/payments/{provider}/webhook": "the provider's signature is checked",
    "/v1/simulations/{id}": "a report is shared by its address, which can't be guessed",
    "/v1/simulations/{id}/events": "the same",
}
"""Routes that need no right, not even in production mode, and the reason."""


def callers_of(request: Request) -> Callers:
    """Return this process's `Callers`."""
    callers: Callers = request.app.state.callers
    return callers


def rights_of(app: FastAPI) -> Iterator[tuple[str, str, Right | None]]:
    """Yield every route's method and path, and the right it requires; None where it requires none."""
    for route in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        right = None if dependant is None else _right(dependant)
        for method in sorted(set(getattr(route, "methods", None) or ("GET",)) - {"HEAD"}):
            yield method, str(getattr(route, "path_format", getattr(route, "path", route))), right


def _right(dependant: Dependant) -> Right | None:
    for each in dependant.dependencies:
        found = each.call.right if isinstance(each.call, Requires) else _right(each)
        if found is not None:
            return found
    return None
