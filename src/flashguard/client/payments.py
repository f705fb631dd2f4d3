"""The payments of both clients: `client.payments`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from flashguard.model import Payment, PaymentStatus, RefundStatus, Refused

from .answers import Answer, decoded, good, refusal
from .calls import PAGE, Call, given, safe

T = TypeVar("T")


class _PaymentPage(Struct, frozen=True):
    data: tuple[Payment, ...]
    next_cursor: str | None


class _ProviderName(Struct, frozen=True):
    name: str


class _ProviderPage(Struct, frozen=True):
    data: tuple[_ProviderName, ...]


_payment = msgspec.json.Decoder(Payment)
_page = msgspec.json.Decoder(_PaymentPage)
_providers = msgspec.json.Decoder(_ProviderPage)


class _Do(Protocol):
    """How the blocking client makes a call."""

    def __call__(self, call: Call[T], /) -> T: ...


class _AsyncDo(Protocol):
    """How the other one does."""

    async def __call__(self, call: Call[T], /) -> T: ...


class PaymentCalls:
    """Begins, reads and lists payments, and retries their refunds."""

    def __init__(self, do: _Do) -> None:
        self._do = do

    def providers(self) -> tuple[str, ...]:
        """Return the names of the payment providers. Where there is none, holds are confirmed without a
        payment."""
        return self._do(PROVIDERS)

    def begin(
        self,
        reservation: str,
        provider: str,
        *,
        success_url: str | None = None,
        cancel_url: str | None = None,
    ) -> Payment | Refused:
        """Begin the payment of a live hold, or return the one that the buyer can pay already; a hold that is
        over is refused. Send the buyer to the payment's `url`, or show the form of its `client_secret`.

        Parameters:
            success_url, cancel_url: where the provider sends the buyer afterwards.
        """
        return self._do(_begin(reservation, provider, success_url, cancel_url))

    def of_reservation(self, reservation: str) -> tuple[Payment, ...]:
        """Return the payments for a hold or an order, the oldest first."""
        return self._do(_of_reservation(reservation)).data

    def get(self, id_: str) -> Payment:
        """Return a payment with its refunds."""
        return self._do(_get(id_))

    def list(
        self,
        *,
        sale: str | None = None,
        status: PaymentStatus | None = None,
        reservation: str | None = None,
        refund: RefundStatus | None = None,
    ) -> Iterator[Payment]:
        """Yield payments, newest first, page by page: all, or those of a sale, in a state, for a hold or an
        order, with a refund in a state."""
        cursor: str | None = None
        while True:
            page = self._do(_list(sale, status, reservation, refund, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def retry_refunds(self, id_: str) -> Payment:
        """Ask the provider now for the refunds that are not done; in place of one that failed for a new one.
        Return the payment."""
        return self._do(_retry_refunds(id_))


class AsyncPaymentCalls:
    """The same, awaited."""

    def __init__(self, do: _AsyncDo) -> None:
        self._do = do

    async def providers(self) -> tuple[str, ...]:
        """Return the names of the payment providers: see `PaymentCalls.providers`."""
        return await self._do(PROVIDERS)

    async def begin(
        self,
        reservation: str,
        provider: str,
        *,
        success_url: str | None = None,
        cancel_url: str | None = None,
    ) -> Payment | Refused:
        """Begin the payment of a live hold: see `PaymentCalls.begin`."""
        return await self._do(_begin(reservation, provider, success_url, cancel_url))

    async def of_reservation(self, reservation: str) -> tuple[Payment, ...]:
        """Return the payments for a hold or an order, the oldest first."""
        return (await self._do(_of_reservation(reservation))).data

    async def get(self, id_: str) -> Payment:
        """Return a payment with its refunds."""
        return await self._do(_get(id_))

    async def list(
        self,
        *,
        sale: str | None = None,
        status: PaymentStatus | None = None,
        reservation: str | None = None,
        refund: RefundStatus | None = None,
    ) -> AsyncIterator[Payment]:
        """Yield payments, newest first, page by page: see `PaymentCalls.list`."""
        cursor: str | None = None
        while True:
            page = await self._do(_list(sale, status, reservation, refund, cursor))
            for payment in page.data:
                yield payment
            cursor = page.next_cursor
            if cursor is None:
                return

    async def retry_refunds(self, id_: str) -> Payment:
        """Ask the provider now for the refunds that are not done: see `PaymentCalls.retry_refunds`."""
        return await self._do(_retry_refunds(id_))


def _begin(
    reservation: str, provider: str, success_url: str | None, cancel_url: str | None
) -> Call[Payment | Refused]:
    body: dict[str, Any] = {"provider": provider} | given(success_url=success_url, cancel_url=cancel_url)
    return Call("POST", f"/v1/reservations/{safe(reservation)}/payment", _begun, body)


def _of_reservation(reservation: str) -> Call[_PaymentPage]:
    return Call("GET", f"/v1/reservations/{safe(reservation)}/payments", _read_page)


def _get(id_: str) -> Call[Payment]:
    return Call("GET", f"/v1/payments/{safe(id_)}", _read)


def _list(
    sale: str | None, status: str | None, reservation: str | None, refund: str | None, cursor: str | None
) -> Call[_PaymentPage]:
    asked = given(sale=sale, status=status, reservation=reservation, refund=refund, cursor=cursor)
    return Call("GET", "/v1/payments", _read_page, query={"limit": str(PAGE)} | asked)


def _retry_refunds(id_: str) -> Call[Payment]:
    return Call("POST", f"/v1/payments/{safe(id_)}/refund", _read)


def _begun(answer: Answer) -> Payment | Refused:
    return decoded(_payment, answer) if answer.status < 300 else refusal(answer)


def _read(answer: Answer) -> Payment:
    return decoded(_payment, good(answer))


def _read_page(answer: Answer) -> _PaymentPage:
    return decoded(_page, good(answer))


def _read_providers(answer: Answer) -> tuple[str, ...]:
    return tuple(provider.name for provider in decoded(_providers, good(answer)).data)


PROVIDERS: Final = Call("GET", "/v1/payment-providers", _read_providers)
