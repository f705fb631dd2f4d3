"""Holds and orders of one sale for many customers at once, each with its own outcome."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from flashguard.engine.baskets import Basket
from flashguard.model import Admission, Key, Line, Outcome, Refused
from flashguard.model.arguments import must

from .routing import ShardRouter

MAX_REQUESTS: Final = 1_000
"""Requests of one batch. They stand in one queue with all others, and cost the event loop about 10 ms."""


class BasketRequest(Struct, frozen=True):
    """What one customer of a batch wants: the arguments of `FlashGuard.reserve` and `buy`."""

    customer: str
    lines: Sequence[Line]
    key: Key | None = None
    admitted_until: int | Admission = 0
    reference: str | None = None
    metadata: dict[str, str] | None = None
    identities: dict[str, str] | None = None


class BatchSelling:
    """Sells baskets that come together: for gateways, queues and imports of a shop's own.

    Every request has its own outcome, as if it had come alone and in this order: a bad one is refused and
    changes nothing for the others. Later requests with an earlier one's key return its outcome.
    """

    def __init__(self, router: ShardRouter, basket: Callable[..., Basket | Refused]) -> None:
        self._router = router
        self._basket = basket

    async def reserve(self, sale: str, requests: Sequence[BasketRequest]) -> list[Outcome]:
        """Hold units for each customer; return the outcomes in the requests' order.

        Raises:
            ValueError: not 1 to 1,000 requests.
        """
        return await self._sell(sale, requests, buy=False)

    async def buy(self, sale: str, requests: Sequence[BasketRequest]) -> list[Outcome]:
        """Reserve and confirm in one step for each customer; return the outcomes in the requests' order.

        Raises:
            ValueError: not 1 to 1,000 requests.
        """
        return await self._sell(sale, requests, buy=True)

    async def _sell(self, sale: str, requests: Sequence[BasketRequest], *, buy: bool) -> list[Outcome]:
        are_requests = isinstance(requests, list | tuple) and all(
            type(each) is BasketRequest for each in requests
        )
        must(
            (
                are_requests and 1 <= len(requests) <= MAX_REQUESTS,
                f"requests: 1 to {MAX_REQUESTS} BasketRequest",
            )
        )
        baskets = [
            self._basket(
                sale,
                each.customer,
                each.lines,
                each.key,
                buy=buy,
                admitted_until=each.admitted_until,
                reference=each.reference,
                metadata=each.metadata,
                identities=each.identities,
            )
            for each in requests
        ]
        sold = iter(await self._router.sell_all([each for each in baskets if isinstance(each, Basket)]))
        return [next(sold) if isinstance(each, Basket) else each for each in baskets]
