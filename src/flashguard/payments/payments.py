"""Payments, as buyers begin them and providers tell of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
from msgspec import UNSET, Struct

from flashguard.engine.fallback import RECOVERING
from flashguard.engine.outcomes import RETRY_SECONDS
from flashguard.engine.receipts import IdKind
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.ledger.payments import END_NOW, NewPayment, PaymentBook, PaymentFigures, PaymentFilter
from flashguard.model import (
    Granted,
    Item,
    Line,
    OrderPayment,
    Payment,
    PaymentRefund,
    PaymentStatus,
    RefundStatus,
    Refused,
    Reservation,
    ReservationStatus,
    Sale,
    SaleId,
    public_sale,
    split_reservation_id,
    unknown,
)
from flashguard.model.shards import shard_ids
from flashguard.settings import Settings

from .provider import Event, PaidLine, Provider, ProviderAway, ProviderRefused
from .providers import providers_of
from .settler import AFTER_HOLD_SECONDS, Settler, asked_of, full_id, refund_id

PAYMENTS_MOST: Final = 20
"""Payments of one hold: each new one follows one that ended."""
SESSION_SECONDS_LEAST: Final = 1800
"""Stripe's least for a Checkout Session; we end it with the hold."""
SESSION_SECONDS_MOST: Final = 24 * 3600 - 60
"""Stripe's most, less a minute for the clocks."""


class Payments:
    """Begins payments and takes the providers' events. Methods raise `LedgerAway` and `MemoryAway` as the
    guard's do.

    Raises:
        ConfigurationError: a provider of the settings can't be used.
    """

    def __init__(self, guard: FlashGuard, settings: Settings) -> None:
        self._guard = guard
        self._providers = providers_of(settings)
        self._book = PaymentBook(guard.ledger)
        self._settings = settings
        self.settler = Settler(guard, self._providers)

    async def close(self) -> None:
        """Close the providers' connections."""
        for provider in self._providers.values():
            await provider.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The providers' names, in the order of the settings."""
        return tuple(self._providers)

    def provider(self, name: str) -> Provider | Refused:
        """Return the provider of this name."""
        found = self._providers.get(name)
        return unknown_provider(name) if found is None else found

    async def begin(
        self, id_: str, provider: str, success_url: str | None = None, cancel_url: str | None = None
    ) -> Payment | Refused:
        """Return the payment for a live hold: its basket at the sale's prices, at this provider. The hold
        gets its time again. Asked again, it is the same payment, as long as it can be paid.

        Another payment of this hold that could be paid ends.
        """
        asked = self.provider(provider)
        if isinstance(asked, Refused):
            return asked
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        sale = await self._guard.shop.sale(public_sale(name[0]))  # before the hold: see _price
        held = await self._guard.reservation(id_)
        if isinstance(held, Refused):
            return held
        if held.status is not ReservationStatus.HELD:
            return Refused(code=Code(f"reservation-{held.status}"))
        if held.receipt is None:  # memory is built again; the ledger has the hold, but without its receipt
            return RECOVERING
        rows = await self._book.of_reservation(*name)
        over = [row for row in rows if row["state"] in ("refused", "ended") or row["why"] in END_NOW]
        if len(over) >= PAYMENTS_MOST:
            return Refused(code=Code.INVALID_REQUEST, detail=f"{PAYMENTS_MOST} payments of this hold ended.")
        if any(row["state"] in ("paid", "order") for row in rows):
            return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
        price = None if sale is None else _price(sale, held)
        if not isinstance(price, _Price):
            return price or unknown(Code.UNKNOWN_RESERVATION, id_)
        revision = self._revision(held.receipt)
        key = json.dumps([id_, provider, revision, len(over)])
        row = next((row for row in rows if row["state"] in ("new", "open") and row not in over), None)
        if row is None or (row["provider"], self._revision(row["receipt"])) != (provider, revision):
            return await self._new(held, name, asked, provider, price, key, success_url, cancel_url)
        return await self._opened(row, asked)

    async def _new(
        self, held: Reservation, name: tuple[SaleId, str], asked: Provider, provider: str, price: "_Price",
        key: str, success_url: str | None, cancel_url: str | None,
    ) -> Payment | Refused:  # fmt: skip
        payment = f"pay_{self._guard.signer.id_of_key(IdKind.PAYMENT, key)}"
        extended = await self._guard.extend(held.id, key=payment)
        if isinstance(extended, Granted) and extended.reservation.receipt is not None:
            held = extended.reservation
        elif isinstance(extended, Refused) and extended.code.startswith("reservation-"):
            return extended
        now = datetime.now(UTC)
        ends_at = now + timedelta(seconds=session_seconds(self._settings))
        request = {
            "lines": price.lines, "success_url": success_url, "cancel_url": cancel_url, "ends_at": ends_at,
        }  # fmt: skip
        await self._book.begin(
            NewPayment(
                id=payment, sale=name[0], reservation=name[1], provider=provider,
                amount_minor=price.amount_minor, currency=price.currency, receipt=held.receipt or "",
                request=request,
                due_at=(held.expires_at or now) + timedelta(seconds=AFTER_HOLD_SECONDS),
            )
        )  # fmt: skip
        rows = await self._book.of_reservation(*name)
        return await self._opened(next(row for row in rows if row["id"] == payment), asked)

    def _revision(self, receipt: str | None) -> int | None:
        """Return how often the hold of this receipt was amended."""
        found = self._guard.signer.verify(receipt or "")
        return None if found is None else found.revision

    async def _opened(self, row: asyncpg.Record, provider: Provider) -> Payment | Refused:
        """Return the payment once its provider has the session."""
        if row["state"] == "new":
            try:
                session = await provider.create(asked_of(row))
            except ProviderAway as error:
                return Refused(
                    code=Code.PROVIDER_AWAY, detail=str(error)[:300], retry_after_seconds=RETRY_SECONDS
                )
            except ProviderRefused as error:
                return Refused(code=Code.INVALID_REQUEST, detail=f"the provider refuses it: {error}"[:300])
            answer = {"url": session.url, "client_secret": session.client_secret}
            await self._book.open(row["id"], session.id, answer)
            rows = await self._book.of_reservation(row["sale_id"], row["reservation"])
            row = next(each for each in rows if each["id"] == row["id"])
        return (await self._shown([row]))[0]

    async def take(self, provider: str, headers: Mapping[str, str], body: bytes) -> bool | Refused:
        """Take an event of a provider; return whether it is about a payment here. A paid hold is confirmed at
        once where that is possible, and by the settler otherwise.

        Raises:
            Forged: the event is not signed by the provider.
        """
        found = self.provider(provider)
        if isinstance(found, Refused):
            return found
        event = found.event(headers, body)
        if event is None or not _is_sound(event):
            return False
        _, _, number = event.refund.rpartition("-")
        state = await self._book.take_event(
            provider, event.id, event.kind, event.payment, event.session, event.amount_minor,
            event.currency.upper(),
            int(number) if number.isdecimal() and len(number) < 9 else 0,
        )  # fmt: skip
        if state == "paid":
            await self.settler.settle_now(event.payment)
        return state is not None

    async def of_reservation(self, id_: str) -> list[Payment]:
        """Return the payments for a reservation, the oldest first."""
        name = split_reservation_id(id_)
        return [] if name is None else await self._shown(await self._book.of_reservation(*name))

    async def of_order(self, id_: str) -> OrderPayment | None:
        """Return the payment to show with an order; None without one."""
        name = split_reservation_id(id_)
        return None if name is None else await self._book.of_order(*name)

    async def get(self, id_: str) -> Payment | Refused:
        """Return a payment."""
        row = await self._book.get(id_)
        return unknown(Code.UNKNOWN_PAYMENT, id_) if row is None else (await self._shown([row]))[0]

    async def page(
        self,
        before: tuple[datetime, str] | None,
        limit: int,
        *,
        sale: SaleId | None = None,
        reservation: str | None = None,
        status: PaymentStatus | None = None,
        refund: RefundStatus | None = None,
    ) -> list[Payment]:
        """Return a page of payments, newest first: of a sale, for a reservation, in a state, or with a refund
        in a state."""
        shards = None if sale is None else shard_ids(sale, await self._guard.spread.shards_of(sale))
        name = None if reservation is None else split_reservation_id(reservation)
        if reservation is not None and name is None:
            return []
        if name is not None:
            if shards is not None and name[0] not in shards:
                return []
            shards = [name[0]]
        which = PaymentFilter(
            sales=shards,
            states=None if status is None else ("new", "open") if status == "open" else (status,),
            reservation=None if name is None else name[1],
            refund=refund,
        )
        return await self._shown(await self._book.page(before, limit, which))

    async def retry_refunds(self, id_: str) -> Payment | Refused:
        """Ask for a payment's refunds now that are not done, also for those that failed; return it."""
        await self._book.retry_refunds(id_)
        return await self.get(id_)

    async def figures(self) -> PaymentFigures:
        """Return what is counted of payments."""
        return await self._book.figures()

    async def _shown(self, rows: list[asyncpg.Record]) -> list[Payment]:
        refunds: dict[str, list[PaymentRefund]] = {}
        for row in await self._book.refunds([row["id"] for row in rows]):
            if row["state"] != "void":
                refunds.setdefault(row["payment"], []).append(_refund(row))
        return [_payment(row, refunds.get(row["id"], [])) for row in rows]


class _Price(Struct, frozen=True):
    lines: tuple[PaidLine, ...]
    amount_minor: int
    currency: str


def session_seconds(settings: Settings) -> int:
    """Return how long a provider may keep a session by itself: longer than any hold, and at its end still as
    long as a provider asks for, because a session may be asked for again then."""
    return min(SESSION_SECONDS_LEAST + settings.max_hold_seconds + 60, SESSION_SECONDS_MOST)


def unknown_provider(name: str) -> Refused:
    """Return the refusal of a call about a provider that is not configured."""
    return Refused(code=Code.UNKNOWN_PROVIDER, detail=f"There is no payment provider {name[:64]!r} here.")


def _price(sale: Sale, held: Reservation) -> _Price | Refused:
    """Return what a hold costs. `sale` was read first: a line without a price of its own was held at the
    price that the item had until then."""
    items = {item.sku: item for item in sale.items}
    found = [(items.get(line.sku), line) for line in held.items]
    lines = tuple(
        PaidLine(item.name, _price_of(line, item), line.quantity) for item, line in found if item is not None
    )
    currencies = {item.currency for item, _ in found if item is not None}
    amount = sum(line.price_minor * line.quantity for line in lines)
    if len(lines) != len(found) or len(currencies) != 1:
        return Refused(code=Code.INVALID_REQUEST, detail="A payment has one currency; the hold has several.")
    if not amount:
        return Refused(code=Code.INVALID_REQUEST, detail="The hold costs nothing: confirm it.")
    return _Price(lines, amount, currencies.pop())


def _price_of(line: Line, item: Item) -> int:
    return item.price_minor if line.price_minor is UNSET else line.price_minor


def _is_sound(event: Event) -> bool:
    """Return whether an event can be one of ours: its texts are bounded, and its amount is money."""
    return (
        all(
            0 < len(text) <= 255 and "\0" not in text
            for text in (event.id, event.payment, event.session or "-")
        )
        and 0 <= event.amount_minor < 2**53
        and len(event.currency) <= 8
        and "\0" not in event.currency
    )


def _refund(row: asyncpg.Record) -> PaymentRefund:
    return PaymentRefund(
        id=refund_id(row), status=row["state"], amount_minor=row["amount_minor"], currency=row["currency"],
        reason=row["reason"], created_at=row["created_at"], ended_at=row["ended_at"], error=row["error"],
        retried_as=None if row["retried_as"] is None else f"{row['payment']}-{row['retried_as']}",
    )  # fmt: skip


def _payment(row: asyncpg.Record, refunds: list[PaymentRefund]) -> Payment:
    status: Any = "open" if row["state"] == "new" else row["state"]
    answer: dict[str, Any] = json.loads(row["answer"]) if row["answer"] and row["state"] == "open" else {}
    return Payment(
        id=row["id"], reservation_id=full_id(row), provider=row["provider"], status=status,
        amount_minor=row["amount_minor"], currency=row["currency"], url=answer.get("url"),
        client_secret=answer.get("client_secret"), created_at=row["created_at"], paid_at=row["paid_at"],
        paid_minor=row["paid_minor"], why=row["why"], refunds=tuple(refunds),
    )  # fmt: skip
