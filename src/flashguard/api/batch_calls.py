"""The work of the batch calls: many holds or orders of one sale, each with its own outcome."""

from collections.abc import Sequence
from functools import partial

from flashguard.api.responses.begun import Begun
from flashguard.api.responses.encoded import Encoded
from flashguard.api.schemas.batches import PlainRequest, batch_response, outcome_view
from flashguard.engine.baskets import Basket
from flashguard.guard import FlashGuard
from flashguard.model import Refused

from .access import Caller
from .buyer_calls import basket_of, note_sold

Asked = Basket | Refused | Encoded
"""A request of a batch; or the problem of one that is not valid."""


async def reserve_batch(
    guard: FlashGuard, caller: Caller, sale: str, requests: Sequence[PlainRequest | Encoded]
) -> Encoded:
    """Return 200 with the outcome of each hold."""
    return await _sell(guard, _asked(guard, caller, sale, requests, buy=False), buy=False)


async def buy_batch(
    guard: FlashGuard, caller: Caller, sale: str, requests: Sequence[PlainRequest | Encoded]
) -> Encoded:
    """Return 200 with the outcome of each order."""
    return await _sell(guard, _asked(guard, caller, sale, requests, buy=True), buy=True)


def begin_reserve_batch(
    guard: FlashGuard, caller: Caller, sale: str, requests: Sequence[PlainRequest]
) -> Begun | None:
    """Return the work of `reserve_batch`; None where a request is to be refused as invalid."""
    return _begin(guard, _asked(guard, caller, sale, requests, buy=False), buy=False)


def begin_buy_batch(
    guard: FlashGuard, caller: Caller, sale: str, requests: Sequence[PlainRequest]
) -> Begun | None:
    """Return the work of `buy_batch`; None where a request is to be refused as invalid."""
    return _begin(guard, _asked(guard, caller, sale, requests, buy=True), buy=True)


def _asked(
    guard: FlashGuard, caller: Caller, sale: str, requests: Sequence[PlainRequest | Encoded], *, buy: bool
) -> list[Asked]:
    return [
        each if isinstance(each, Encoded) else basket_of(guard, caller, sale, each, each.key, buy)
        for each in requests
    ]


def _begin(guard: FlashGuard, asked: list[Asked], *, buy: bool) -> Begun | None:
    return partial(_sell, guard, asked, buy=buy) if all(isinstance(each, Basket) for each in asked) else None


async def _sell(guard: FlashGuard, asked: list[Asked], *, buy: bool) -> Encoded:
    sold = iter(await guard.spread.sell_all([each for each in asked if isinstance(each, Basket)]))
    views = []
    for each in asked:
        if isinstance(each, Basket):
            outcome = next(sold)
            note_sold(guard, each, outcome)
            views.append(outcome_view(outcome))
        else:
            if isinstance(each, Refused):
                guard.outcomes["buy" if buy else "reserve", each.code] += 1
            views.append(outcome_view(each))
    return batch_response(views)
