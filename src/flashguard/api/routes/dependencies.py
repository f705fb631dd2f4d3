"""What several routes share: parameters, headers, rights, hot calls, and the objects of the process."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request

from flashguard.api.access import Caller, Right
from flashguard.api.hot_calls import HotCall
from flashguard.api.responses.problems import RefusedError
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import (
    MAX_KEY,
    MAX_NAME,
    Refused,
    Sale,
    SaleId,
    SaleStatus,
    is_name,
    is_sale_id,
    unknown_sale,
)
from flashguard.settings import Mode, Settings
from flashguard.simulator.plan import MAX_BUYERS, STRATEGIES

if TYPE_CHECKING:
    from flashguard.payments import Payments


def _key(description: str) -> Any:
    return Header(
        description=description,
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY, "pattern": '^(?!""$)[!-~]([ -~]*[!-~])?$'},
    )


IdempotencyKey = Annotated[
    str | None, _key("The same key again returns the first outcome; with another body it is refused.")
]
TokenKey = Annotated[
    str | None,
    _key(
        "The same key and request make a token of the same id; with another request, a token of another id."
    ),
]
"""For minting a token: nothing is stored, so there is no first outcome to compare another request with."""


Seller = Annotated[Caller, requires(Right.SELL)]
Reader = Annotated[Caller, requires(Right.READ_SALES)]

SaleParam = Annotated[str, Path(max_length=64, description="The sale's id")]

Limit = Annotated[int, Query(ge=1, le=500)]

Reference = Annotated[
    str | None, Query(min_length=1, max_length=MAX_NAME, description="Only those with this reference")
]

Cursor = Annotated[str | None, Query(max_length=300)]


def route_of(router: APIRouter, call: HotCall, **document: Any) -> Callable[[Any], Any]:
    """Return the decorator of the route that answers a hot call wherever the lane does not.

    Parameters:
        document: what the OpenAPI document says of it.
    """
    return router.api_route(call.path.removeprefix(router.prefix), methods=[call.method], **document)


def guard_of(request: Request) -> FlashGuard:
    guard: FlashGuard = request.app.state.guard
    return guard


def payments_of(request: Request) -> "Payments | None":
    """Return the payments of the process; None where no provider is configured."""
    found: Payments | None = request.app.state.payments
    return found


def known(sale: str) -> SaleId:
    """Return the text as a sale's id.

    Raises:
        RefusedError: `unknown-sale`, because it can't be a sale's id.
    """
    if not is_sale_id(sale):
        raise RefusedError(unknown_sale(sale))
    return SaleId(sale)


def printable(text: str | None, name: str) -> str | None:
    """Return the value of a filter.

    Raises:
        RefusedError: it has a character that no name has.
    """
    if text is not None and not is_name(text):
        raise RefusedError(Refused(code=Code.INVALID_REQUEST, detail=f"{name}: must be printable"))
    return text


async def visible_sale(guard: FlashGuard, caller: Caller, sale: SaleId) -> Sale | None:
    """Return the sale as it is now; None where there is none or the caller may not see it. Only the shop sees
    drafts."""
    found = await guard.shop.sale(sale)
    return None if found is None or (found.status is SaleStatus.DRAFT and not caller.is_shop) else found


def simulations_enabled(settings: Settings) -> bool:
    """Return whether simulations are on: in development mode, unless the setting says otherwise."""
    return settings.mode is Mode.DEVELOPMENT if settings.simulations is None else settings.simulations


def simulations_offered(settings: Settings) -> dict[str, Any]:
    """Return what a simulation may be started with."""
    return {"enabled": simulations_enabled(settings), "max_buyers": MAX_BUYERS, "strategies": STRATEGIES}
