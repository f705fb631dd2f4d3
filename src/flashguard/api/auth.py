"""Who may make which call. Every route has an `Access`, or is one of `OPEN`: a test walks them all.

The access is a dependency: it tells who calls, keeps it in `request.state.caller`, and refuses whoever may
not.
"""

from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Mode, Settings

from .caller import ANONYMOUS, REFUSED, Caller, Callers, Scope
from .problems import ProblemError


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


class Access:
    """Who may make a call.

    Parameters:
        scopes: a key needs one of these; one with `admin` has them all.
        buyer: whether a buyer's token will do; what it may do then is the call's to say.
        anonymous: whether in development nothing is needed; what is sent is checked all the same.
    """

    def __init__(self, *scopes: Scope, buyer: bool = False, anonymous: bool = False) -> None:
        self.scopes = frozenset((Scope.ADMIN, *scopes))
        self.buyer = buyer
        self.anonymous = anonymous

    # A coroutine also where it waits for nothing: the framework sends plain functions to a thread.
    async def __call__(self, request: Request, authorization: Authorization) -> Caller:
        state: Any = request.app.state
        settings: Settings = state.settings
        if authorization is None:
            if not self.anonymous or settings.mode is Mode.PRODUCTION:
                raise ProblemError(REFUSED)
            caller = ANONYMOUS
        else:
            callers: Callers = state.callers
            caller = await callers.find(authorization)
            if not self.lets(caller):
                raise ProblemError(Refused(code=Code.FORBIDDEN))
        request.state.caller = caller
        return caller

    def lets(self, caller: Caller) -> bool:
        """Whether one who said who they are may make the call."""
        return self.buyer if caller.customer is not None else not self.scopes.isdisjoint(caller.scopes)


ADMIN: Final = Access()
SHOP: Final = Access(Scope.SHOP)
REPORTS: Final = Access(Scope.SHOP, Scope.READ)
AUDIT: Final = Access(Scope.READ)
SELLING: Final = Access(Scope.SHOP, buyer=True, anonymous=True)
LOOKING: Final = Access(Scope.SHOP, Scope.READ, buyer=True, anonymous=True)
OPERATING: Final = Access(Scope.READ, anonymous=True)

Admin = Depends(ADMIN)
Buyer = Depends(SELLING)
Selling = Annotated[Caller, Depends(SELLING)]
Looking = Annotated[Caller, Depends(LOOKING)]

OPEN: Final = {
    "/healthz": "health",
    "/readyz": "health",
    "/docs": "documentation, the same for everybody",
    "/openapi.json": "documentation, the same for everybody",
    "/v1/sales/{sale}/events": "what the shop's page shows anyway; a browser's EventSource sends no key",
    "/v1/simulations/{id}": "a report is shared by its address, which nobody guesses",
    "/v1/simulations/{id}/events": "the same",
}
"""Routes that anybody may ask, in production too, and why."""


def caller_of(request: Request) -> Caller:
    """Who makes this call, as its access found."""
    caller: Caller = request.state.caller
    return caller
