"""The client for asyncio programs: the same calls, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from flashguard.model import Item, Outcome, Reservation, Sale

from . import calls
from .answers import Answer, BuyerToken
from .calls import CONNECTIONS, Basket, BatchItem, Call, Told, checked_url, headers_of
from .retry import Attempts, Retry

T = TypeVar("T")


class AsyncClient:
    """A running FlashGuard, for an asyncio program.

    Outcomes for buyers are values, `Granted` or `Refused`; every exception is a `ClientError`.

    Parameters:
        url: FlashGuard's address.
        bearer: an API key or a buyer's token; or a coroutine function that returns one, which is
            called again when the service no longer accepts it.
        retry: bounds on retries.
        timeout_seconds: maximum seconds of one attempt.
        transport: of httpx, for special networks.

    Raises:
        ClientError: `url` is not a full address.
    """

    def __init__(
        self,
        url: str,
        bearer: str | Callable[[], Awaitable[str]] | None = None,
        *,
        retry: Retry | None = None,
        timeout_seconds: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._bearer = bearer if callable(bearer) else None
        self._token = None if callable(bearer) else bearer
        self._retry = retry or Retry()
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(base_url=checked_url(url), transport=transport, limits=CONNECTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def reserve(
        self, sale: str, customer: str, items: Basket, *, key: str | None = None, admission: str | None = None
    ) -> Outcome:
        """Hold units. `admission` is that of the sale's waiting room, if it has one."""
        return await self._do(calls.take("reservations", sale, customer, items, key, admission))

    async def buy(
        self, sale: str, customer: str, items: Basket, *, key: str | None = None, admission: str | None = None
    ) -> Outcome:
        """Reserve and confirm in one step: granted means committed in PostgreSQL."""
        return await self._do(calls.take("orders", sale, customer, items, key, admission))

    async def reserve_many(self, sale: str, requests: Sequence[BatchItem]) -> list[Outcome]:
        """Hold units for up to 1,000 customers in one call; return the outcomes in the requests' order.

        Every refusal is a value here, also `overloaded` or `invalid-request`. To repeat a request that the
        service could not decide, send it again with the same key.
        """
        return await self._do(calls.take_many("reservations", sale, requests))

    async def buy_many(self, sale: str, requests: Sequence[BatchItem]) -> list[Outcome]:
        """Reserve and confirm in one step for up to 1,000 customers: see `reserve_many`."""
        return await self._do(calls.take_many("orders", sale, requests))

    async def confirm(self, id_: str, *, receipt: str | None = None) -> Outcome:
        """Turn a hold into an order; with its receipt also an expired one, while its units are available."""
        return await self._do(calls.confirm(id_, receipt))

    async def release(self, id_: str) -> Outcome:
        """Return a hold's units to the stock."""
        return await self._do(calls.release(id_))

    async def extend(self, id_: str, *, key: str | None = None) -> Outcome:
        """Give a hold more time."""
        return await self._do(calls.extend(id_, key))

    async def reservation(self, id_: str) -> Reservation:
        """Return a reservation as it is now."""
        return await self._do(calls.reservation(id_))

    async def sale(self, id_: str) -> Sale:
        """Return a sale with its current counters."""
        return await self._do(calls.sale(id_))

    async def create_sale(
        self,
        name: str,
        items: Sequence[Item],
        *,
        id_: str | None = None,
        key: str | None = None,
        **rules: object,
    ) -> Sale:
        """Create a sale as a draft; `rules` are those of the contract: hold_seconds, limit_per_customer, …"""
        return await self._do(calls.create_sale(name, items, id_, rules, key))

    async def open_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return await self._do(calls.change_sale(id_, "open", key))

    async def pause_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return await self._do(calls.change_sale(id_, "pause", key))

    async def close_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return await self._do(calls.change_sale(id_, "close", key))

    async def restock(
        self, sale: str, sku: str, delta: int, reason: str, *, key: str | None = None
    ) -> Mapping[str, Any]:
        """Change an item's stock; return the item after the change."""
        return await self._do(calls.restock(sale, sku, delta, reason, key))

    async def orders(self, sale: str) -> AsyncIterator[Reservation]:
        """Yield all orders of a sale, oldest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self._do(calls.orders(sale, cursor))
            for order in page.data:
                yield order
            cursor = page.next_cursor
            if cursor is None:
                return

    async def buyer_token(
        self, sale: str, customer: str, *, seconds: int | None = None, key: str | None = None
    ) -> BuyerToken:
        """Mint a short-lived token with which a browser may act as this customer in this sale, and nothing
        else."""
        return await self._do(calls.buyer_token(sale, customer, seconds, key))

    async def tell_shadow(self, sale: str, attempts: Sequence[Told]) -> Mapping[str, Any]:
        """Send what the shop's own stock decided to a shadow sale; see `Shadow` to send it in the
        background."""
        return await self._do(calls.tell_shadow(sale, attempts))

    async def shadow_report(self, sale: str) -> Mapping[str, Any]:
        """Return where the shop's own stock differed from FlashGuard so far."""
        return await self._do(calls.shadow_report(sale))

    async def _do(self, call: Call[T]) -> T:
        attempts, may_renew = Attempts(self._retry, call.key), self._bearer is not None
        while True:
            got = await self._send(call, min(self._timeout_seconds, attempts.seconds_left))
            if may_renew and isinstance(got, Answer) and got.status == 401:
                self._token, may_renew = None, False
                continue
            wait = attempts.wait_after(got)
            if wait is None and isinstance(got, Answer):
                return call.read(got)
            await asyncio.sleep(wait or 0.0)

    async def _send(self, call: Call[T], seconds: float) -> Answer | Exception:
        if self._token is None and self._bearer is not None:
            self._token = await self._bearer()
        headers = headers_of(self._token, call.key)
        try:
            answer = await self._http.request(
                call.method, call.path, json=call.body, params=call.query, headers=headers, timeout=seconds
            )
        except httpx.TransportError as error:
            return error
        return Answer(answer.status_code, answer.headers, answer.content)
