"""Who may make which call. Every route has an `Access`, or is one of `OPEN`: a test walks them all.

The access is a dependency: it tells who calls, keeps it in `request.state.caller`, and refuses whoever may
not.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase

from flashguard.api.responses.problems import ProblemError
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Mode, Settings

from .access import ANONYMOUS, LOOKS, REFUSED, SELLS, Caller, Callers, Rights, Scope


class _Bearer(SecurityBase):
    """The `Authorization` header as it came, for the OpenAPI document a bearer."""

    def __init__(self) -> None:
        self.scheme_name = "bearer"
        self.model = HTTPBearer(
            description="An API key, or a buyer's token. In development buyers need none."
        )

    async def __call__(self, request: Request) -> bytes | None:
        sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(sent) > 1:
            raise ProblemError(REFUSED)
        return sent[0] if sent else None


Authorization = Annotated[bytes | None, Depends(_Bearer())]


class Access(Rights):
    """Rights that the framework checks."""

    @classmethod
    def of(cls, rights: Rights) -> "Access":
        """The same rights."""
        access = cls()
        access.scopes, access.buyer, access.anonymous = rights.scopes, rights.buyer, rights.anonymous
        return access

    # A coroutine also where it waits for nothing: the framework sends plain functions to a thread.
    async def __call__(self, request: Request, authorization: Authorization) -> Caller:
        state: Any = request.app.state
        settings: Settings = state.settings
        if authorization is None:
            if not self.anonymous or settings.mode is Mode.PRODUCTION:
                raise ProblemError(REFUSED)
            caller = ANONYMOUS
        else:
            caller = await callers_of(request).find(authorization)
            if not self.lets(caller):
                raise ProblemError(Refused(code=Code.FORBIDDEN))
        request.state.caller = caller
        return caller


ADMIN: Final = Access()
SHOP: Final = Access(Scope.SHOP)
REPORTS: Final = Access(Scope.SHOP, Scope.READ)
AUDIT: Final = Access(Scope.READ)
SELLING: Final = Access.of(SELLS)
LOOKING: Final = Access.of(LOOKS)
OPERATING: Final = Access(Scope.READ, anonymous=True)

Admin = Depends(ADMIN)
Buyer = Depends(SELLING)
Selling = Annotated[Caller, Depends(SELLING)]
Looking = Annotated[Caller, Depends(LOOKING)]

OPEN: Final = {
    "/healthz": "health",
    "/readyz": "health",
    "/openapi.json": "documentation, the same for everybody",
    "/v1/sales/{sale}/events": "what the shop's page shows, drafts excepted; an EventSource sends no key",
    "/v1/simulations/{id}": "a report is shared by its address, which nobody guesses",
    "/v1/simulations/{id}/events": "the same",
}
"""Routes that anybody may ask, in production too, and why."""


def callers_of(request: Request) -> Callers:
    """What tells callers apart, in this process."""
    callers: Callers = request.app.state.callers
    return callers


def caller_of(request: Request) -> Caller:
    """Who makes this call, as its access found."""
    caller: Caller = request.state.caller
    return caller


def decisions(app: FastAPI) -> Iterator[tuple[str, str, Access | None]]:
    """Every route's method and path, and its access; None where there is none."""
    for route in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        access = None if dependant is None else _access(dependant)
        for method in sorted(set(getattr(route, "methods", None) or ("GET",)) - {"HEAD"}):
            yield method, str(getattr(route, "path_format", getattr(route, "path", route))), access


def _access(dependant: Dependant) -> Access | None:
    for each in dependant.dependencies:
        found = each.call if isinstance(each.call, Access) else _access(each)
        if found is not None:
            return found
    return None
