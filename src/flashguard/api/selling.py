"""What a buyer's calls do, apart from how they came in: both lanes call these."""

from starlette.responses import Response

from flashguard.guard import FlashGuard
from flashguard.model import Line, Sku

from .schemas import BasketBody
from .views import outcome_response


def _lines(body: BasketBody) -> list[Line]:
    return [Line(Sku(line.sku), line.quantity) for line in body.items]


async def reserve(guard: FlashGuard, sale: str, body: BasketBody, key: str | None) -> Response:
    """201 with the hold, or the problem."""
    return outcome_response(await guard.reserve(sale, body.customer, _lines(body), key=key), 201)


async def buy(guard: FlashGuard, sale: str, body: BasketBody, key: str | None) -> Response:
    """201 with the order, or the problem."""
    return outcome_response(await guard.buy(sale, body.customer, _lines(body), key=key), 201)


async def confirm(guard: FlashGuard, id_: str, receipt: str | None = None) -> Response:
    """200 with the order, or the problem."""
    return outcome_response(await guard.confirm(id_, receipt=receipt))


async def release(guard: FlashGuard, id_: str) -> Response:
    """200 with the released reservation, or the problem."""
    return outcome_response(await guard.release(id_))
