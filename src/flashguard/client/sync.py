"""The blocking client."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from flashguard.model import FactPage, Item, Location, Outcome, Pool, Reservation, Sale
from flashguard.waiting.place import Place

from . import calls
from .answers import Answer, BuyerToken
from .calls import CONNECTIONS, Basket, BatchItem, Call, Told, checked_url, headers_of
from .payments import PaymentCalls
from .proof import solve
from .retry import Attempts, Retry

T = TypeVar("T")


class Client:
    """A running FlashGuard, with blocking calls. Thread-safe.

    Outcomes for buyers are values, `Granted` or `Refused`; every exception is a `ClientError`.

    Parameters:
        url: FlashGuard's address.
        bearer: an API key or a buyer's token; or a function that returns one, which is called again when the
            service no longer accepts it.
        retry: bounds on retries.
        timeout_seconds: maximum seconds of one attempt.
        transport: of httpx2, for special networks.

    Raises:
        ClientError: `url` is not a full address.
    """

    def __init__(
        self,
        url: str,
        bearer: str | Callable[[], str] | None = None,
        *,
        retry: Retry | None = None,
        timeout_seconds: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._bearer = bearer if callable(bearer) else None
        self._token = None if callable(bearer) else bearer
        self._retry = retry or Retry()
        self._timeout_seconds = timeout_seconds
        self._http = httpx2.Client(base_url=checked_url(url), transport=transport, limits=CONNECTIONS)
        self.payments = PaymentCalls(self._do)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def reserve(
        self,
        sale: str,
        customer: str,
        items: Basket,
        *,
        key: str | None = None,
        admission: str | None = None,
        reference: str | None = None,
        metadata: Mapping[str, str] | None = None,
        identities: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Hold units. `admission` is that of the sale's waiting room, if it has one; reference and metadata
        are the shop's own, to find it by; identities are what the sale's limits count by, by name."""
        basket = BatchItem(customer, items, key, admission, reference, metadata, identities)
        return self._do(calls.take("reservations", sale, basket))

    def buy(
        self,
        sale: str,
        customer: str,
        items: Basket,
        *,
        key: str | None = None,
        admission: str | None = None,
        reference: str | None = None,
        metadata: Mapping[str, str] | None = None,
        identities: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Reserve and confirm in one step: granted means committed in PostgreSQL."""
        basket = BatchItem(customer, items, key, admission, reference, metadata, identities)
        return self._do(calls.take("orders", sale, basket))

    def reserve_many(self, sale: str, requests: Sequence[BatchItem]) -> list[Outcome]:
        """Hold units for up to 1,000 customers in one call; return the outcomes in the requests' order.

        Every refusal is a value here, also `overloaded` or `invalid-request`. To repeat a request that the
        service could not decide, send it again with the same key.
        """
        return self._do(calls.take_many("reservations", sale, requests))

    def buy_many(self, sale: str, requests: Sequence[BatchItem]) -> list[Outcome]:
        """Reserve and confirm in one step for up to 1,000 customers: see `reserve_many`."""
        return self._do(calls.take_many("orders", sale, requests))

    def confirm(self, id_: str, *, receipt: str | None = None) -> Outcome:
        """Turn a hold into an order; with its receipt also an expired one, while its units are available."""
        return self._do(calls.confirm(id_, receipt))

    def release(self, id_: str) -> Outcome:
        """Return a hold's units to the stock."""
        return self._do(calls.release(id_))

    def extend(self, id_: str, *, key: str | None = None) -> Outcome:
        """Give a hold more time."""
        return self._do(calls.extend(id_, key))

    def amend(
        self,
        id_: str,
        items: Basket,
        *,
        restock: bool | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Outcome:
        """Replace the basket of a hold or of an order. `restock`: whether units that an order has fewer go on
        sale again, as they do unless told otherwise."""
        return self._do(calls.amend(id_, items, restock, reason, key))

    def transfer(self, id_: str, customer: str, *, key: str | None = None) -> Outcome:
        """Give a hold to another customer."""
        return self._do(calls.transfer(id_, customer, key))

    def cancel(
        self,
        id_: str,
        *,
        restock: bool,
        reason: str | None = None,
        items: Basket | None = None,
        key: str | None = None,
    ) -> Outcome:
        """Cancel an order, or only these items of it. `restock`: whether the units go on sale again."""
        return self._do(calls.cancel(id_, restock, reason, items, key))

    def reservation(self, id_: str) -> Reservation:
        """Return a reservation as it is now."""
        return self._do(calls.reservation(id_))

    def sale(self, id_: str) -> Sale:
        """Return a sale with its current counters."""
        return self._do(calls.sale(id_))

    def create_sale(
        self,
        name: str,
        items: Sequence[Item],
        *,
        pools: Sequence[Pool] = (),
        locations: Sequence[Location] = (),
        id_: str | None = None,
        key: str | None = None,
        **rules: object,
    ) -> Sale:
        """Create a sale as a draft; `rules` are those of the contract: hold_seconds, limit_per_customer, …"""
        return self._do(calls.create_sale(name, items, pools, locations, id_, rules, key))

    def change_sale(self, id_: str, *, items: Sequence[Item] | None = None, **changes: object) -> Sale:
        """Change a sale's name, times or rules, as the contract names them; `items`, all of them, only of a
        draft."""
        return self._do(calls.patch_sale(id_, items, changes))

    def delete_sale(self, id_: str) -> None:
        """Delete a draft; its id can be used again. One that is gone already is no error."""
        self._do(calls.delete_sale(id_))

    def open_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return self._do(calls.change_sale(id_, "open", key))

    def pause_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return self._do(calls.change_sale(id_, "pause", key))

    def close_sale(self, id_: str, *, key: str | None = None) -> Sale:
        return self._do(calls.change_sale(id_, "close", key))

    def add_item(self, sale: str, item: Item, *, key: str | None = None) -> Mapping[str, Any]:
        """Add an item to a sale that is not closed. Return the item."""
        return self._do(calls.add_item(sale, item, key))

    def change_item(
        self, sale: str, sku: str, *, key: str | None = None, **changes: object
    ) -> Mapping[str, Any]:
        """Change an item's `name`, `price_minor`, `limit_per_customer` or `on_sale`. Return the item."""
        return self._do(calls.change_item(sale, sku, changes, key))

    def remove_item(self, sale: str, sku: str, *, key: str | None = None) -> None:
        """Remove an item of which nothing was ever held or sold."""
        self._do(calls.remove_item(sale, sku, key))

    def restock(
        self,
        sale: str,
        sku: str,
        delta: int | None,
        reason: str,
        *,
        stock: int | None = None,
        location: str | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        """Add `delta` units to an item's stock; or with None, set it to `stock`, the units that were counted.
        `location`: where, of an item that has its stock at locations. Return the item after the change."""
        return self._do(calls.restock(sale, sku, delta, reason, stock, key, location=location))

    def restock_pool(
        self, sale: str, pool: str, delta: int | None, reason: str, *, stock: int | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:  # fmt: skip
        """Change a pool's stock, as `restock` changes an item's. Return the pool after the change."""
        return self._do(calls.restock(sale, pool, delta, reason, stock, key, of="pools"))

    def orders(self, sale: str, *, reference: str | None = None) -> Iterator[Reservation]:
        """Yield the orders of a sale, all or those of a reference, oldest first, page by page."""
        yield from self._pages("orders", sale, reference=reference)

    def facts(self, after: str | None = None, *, wait: float = 0.0) -> Iterator[FactPage]:
        """Yield the feed of facts page by page, also empty pages; each has the cursor of what follows.

        Keep the `next_cursor` once the page's facts are dealt with: after a restart it is your `after`.

        Parameters:
            after: a cursor; `now`: only what happens from now on; None: from the oldest fact that is kept.
            wait: seconds that each request waits for a fact, at most half of `timeout_seconds`; it goes on
                for ever. 0: end where the feed ends.

        Raises:
            ProblemError: also `cursor-expired`: facts after the cursor are gone.
        """
        while True:
            page = self._do(calls.facts(after, calls.wait_seconds(wait, self._timeout_seconds)))
            yield page
            if page.next_cursor == after and not wait:
                return
            after = page.next_cursor

    def order(self, id_: str) -> Reservation:
        """Return an order, confirmed or cancelled."""
        return self._do(calls.order(id_))

    def reservations(
        self,
        sale: str,
        *,
        customer: str | None = None,
        status: str | None = None,
        reference: str | None = None,
    ) -> Iterator[Reservation]:
        """Yield a sale's holds, orders and ended holds, by their ids, page by page: all that was answered
        before the call."""
        yield from self._pages("reservations", sale, customer=customer, status=status, reference=reference)

    def held(self, sale: str, customer: str) -> list[Reservation]:
        """Return the customer's live holds, newest first: what to offer a buyer who is refused with
        `sold-out` and lost the id of a hold. A buyer's token may ask for its own."""
        holds = self.reservations(sale, customer=customer, status="held")
        return sorted(holds, key=lambda hold: hold.created_at, reverse=True)

    def ticket(self, sale: str, customer: str, *, ticket: str | None = None) -> Place:
        """Take a place in the sale's waiting room, or return the one that this customer has. A proof of work
        that the room demands is solved here: about a second of one core.

        Parameters:
            ticket: the signed ticket of before: keeps the place after a loss of memory.
        """
        place = self._do(calls.ticket(sale, customer, ticket))
        if place is None:
            asked = self._do(calls.challenge(sale, customer))
            place = self._do(calls.proven_ticket(sale, customer, ticket, solve(asked)))
        return place

    def place(self, sale: str, ticket_id: str) -> Place:
        """Return where a ticket stands. Once admitted, its `admission` is what `reserve` and `buy` need."""
        return self._do(calls.place(sale, ticket_id))

    def buyer_token(
        self, sale: str, customer: str, *, seconds: int | None = None,
        identities: Mapping[str, str] | None = None, key: str | None = None,
    ) -> BuyerToken:  # fmt: skip
        """Mint a short-lived token with which a browser may act as this customer in this sale, and nothing
        else. It carries the identities, which its requests can't name."""
        return self._do(calls.buyer_token(sale, customer, seconds, identities, key))

    def tell_shadow(self, sale: str, attempts: Sequence[Told]) -> Mapping[str, Any]:
        """Send what the shop's own stock decided to a shadow sale; see `Shadow` to send it in the
        background."""
        return self._do(calls.tell_shadow(sale, attempts))

    def shadow_report(self, sale: str) -> Mapping[str, Any]:
        """Return where the shop's own stock differed from FlashGuard so far."""
        return self._do(calls.shadow_report(sale))

    def _pages(self, noun: str, sale: str, **asked: str | None) -> Iterator[Reservation]:
        cursor: str | None = None
        while True:
            page = self._do(calls.listed(noun, sale, cursor=cursor, **asked))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def _do(self, call: Call[T]) -> T:
        attempts, may_renew = Attempts(self._retry, call.key), self._bearer is not None
        while True:
            got = self._send(call, min(self._timeout_seconds, attempts.seconds_left))
            if may_renew and isinstance(got, Answer) and got.status == 401:
                self._token, may_renew = None, False
                continue
            wait = attempts.wait_after(got)
            if wait is None and isinstance(got, Answer):
                return call.read(got)
            time.sleep(wait or 0.0)

    def _send(self, call: Call[T], seconds: float) -> Answer | Exception:
        if self._token is None and self._bearer is not None:
            self._token = self._bearer()
        headers = headers_of(self._token, call.key)
        try:
            answer = self._http.request(
                call.method, call.path, json=call.body, params=call.query, headers=headers, timeout=seconds
            )
        except httpx2.TransportError as error:
            return error
        return Answer(answer.status_code, answer.headers, answer.content)
