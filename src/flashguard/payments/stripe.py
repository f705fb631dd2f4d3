"""Stripe, by its official library: a Checkout Session where the buyer has a page to come back to, else a
PaymentIntent for a form in the shop's own page."""

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final, Literal, TypeVar

import aiohttp
import msgspec
import stripe
from msgspec import Struct

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings

from .provider import (
    Event,
    EventKind,
    Forged,
    PaidLine,
    ProviderAway,
    ProviderRefused,
    RefundNow,
    RefundRequest,
    Session,
    SessionNow,
    SessionRequest,
    kind_of,
)

TIMEOUT_SECONDS: Final = 10.0
"""Of one call. The most that one step of the settler makes, four, end within its lease."""
PAYMENT: Final = "flashguard_payment"
REFUND: Final = "flashguard_refund"
MAX_METADATA: Final = 500
"""Characters of a value of Stripe's metadata; a receipt of very many lines is longer, and left out."""
REFUNDS_MOST: Final = 100
"""Refunds of a payment among which one is looked for."""
KEY_REFUSED: Final = (401, 403)
ASK_AGAIN: Final = (*KEY_REFUSED, 408, 409, 429)
"""Statuses below 500 that say nothing about the request: another key, or later, and it may succeed."""
HUNDREDTHS: Final = ("isk", "ugx")
"""Currencies without a minor unit, which Stripe counts in hundredths all the same: 5 ISK are 500."""
ROUNDED: Final = ("bhd", "jod", "kwd", "omr", "tnd")
"""Currencies with three decimals, of which Stripe takes no amount whose last one is not 0."""
TOLERANCE_SECONDS: Final = 300

logging.getLogger("stripe").setLevel(logging.WARNING)  # at DEBUG it writes receipts and clients' secrets

T = TypeVar("T")


class _StripeObject(Struct, frozen=True):
    """What is read of a Checkout Session, a PaymentIntent or a refund in an event."""

    id: str
    metadata: dict[str, str] | None = None
    currency: str | None = None
    amount_total: int | None = None
    amount_received: int | None = None
    payment_status: str | None = None


class _StripeData(Struct, frozen=True):
    object: _StripeObject


class _StripeEvent(Struct, frozen=True):
    id: str
    type: str
    data: _StripeData


_KINDS: Final[dict[str, EventKind]] = {
    "checkout.session.completed": "paid",
    "checkout.session.async_payment_succeeded": "paid",
    "checkout.session.async_payment_failed": "ended",
    "checkout.session.expired": "ended",
    "payment_intent.succeeded": "paid",
    "payment_intent.canceled": "ended",
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "charge.refund.updated": "refund",
}
_OF_REFUNDS: Final[dict[str, Literal["done", "failed"]]] = {
    "succeeded": "done",
    "failed": "failed",
    "canceled": "failed",
}
_OF_INTENTS: Final[dict[str, Literal["ended", "processing"]]] = {
    "canceled": "ended",
    "processing": "processing",
    "requires_action": "processing",  # a voucher that the buyer has not paid yet
}


class Stripe:
    """The provider `stripe`.

    Raises:
        ConfigurationError: its key or its webhook's secret is missing.
    """

    def __init__(self, settings: Settings) -> None:
        key, secret = settings.stripe_key, settings.stripe_webhook_secret
        if not (key and secret and key.get_secret_value() and secret.get_secret_value()):
            raise ConfigurationError(
                "The payment provider `stripe` needs FLASHGUARD_STRIPE_KEY and "
                "FLASHGUARD_STRIPE_WEBHOOK_SECRET."
            )
        self._secret = secret.get_secret_value()
        self._http: Any = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        client = stripe.StripeClient(
            key.get_secret_value(),
            base_addresses={"api": settings.stripe_url} if settings.stripe_url else {},
            http_client=self._http,
            max_network_retries=0,  # the settler retries, from the ledger
        )
        self._sessions = client.v1.checkout.sessions
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    async def create(self, asked: SessionRequest) -> Session:
        metadata = {PAYMENT: asked.id, "reservation": asked.reservation_id}
        if len(asked.receipt) <= MAX_METADATA:
            metadata["receipt"] = asked.receipt
        params: Any = {"metadata": metadata}
        once: Any = {"idempotency_key": asked.id}
        currency = asked.currency.lower()
        if currency in ROUNDED and any(line.price_minor % 10 for line in asked.lines):
            raise ProviderRefused(f"Stripe takes no third decimal of {asked.currency}")
        if asked.success_url is None:
            params |= {
                "amount": _to_stripe(asked.amount_minor, currency),
                "currency": currency,
                "automatic_payment_methods": {"enabled": True},
            }
            intent: Any = await _asked(self._intents.create_async(params, once))
            return Session(id=intent.id, client_secret=intent.client_secret)
        params |= {
            "mode": "payment",
            "client_reference_id": asked.id,
            "success_url": asked.success_url,
            "expires_at": int(asked.ends_at.timestamp()),
            "line_items": [_line_item(line, currency) for line in asked.lines],
        }
        if asked.cancel_url is not None:
            params["cancel_url"] = asked.cancel_url
        session: Any = await _asked(self._sessions.create_async(params, once))
        return Session(id=session.id, url=session.url)

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        try:
            text = body.decode()
            stripe.WebhookSignature.verify_header(
                text, headers.get("stripe-signature", ""), self._secret, TOLERANCE_SECONDS
            )
            kind = kind_of(body, _KINDS)
            if kind is None:
                return None
            event = msgspec.json.decode(body, type=_StripeEvent)
        except (stripe.SignatureVerificationError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise Forged(
                f"the event is not one of Stripe's, or its time is not now: {error}"[:300]
            ) from error
        about = event.data.object
        metadata = about.metadata or {}
        if kind == "refund":
            refund = metadata.get(REFUND, "")
            payment = refund.rpartition("-")[0]
            return Event(id=event.id, kind=kind, payment=payment, refund=refund) if payment else None
        payment = metadata.get(PAYMENT, "")
        if not payment or (event.type == "checkout.session.completed" and about.payment_status != "paid"):
            return None
        amount = about.amount_received if about.amount_total is None else about.amount_total
        currency = about.currency or ""
        return Event(
            id=event.id, kind=kind, payment=payment, session=about.id, currency=currency,
            amount_minor=_from_stripe(amount or 0, currency),
        )  # fmt: skip

    async def expire(self, session: str) -> SessionNow:
        if session.startswith("pi_"):
            return await self._expire_intent(session)
        try:
            found: Any = await _asked(self._sessions.expire_async(session))
        except ProviderRefused:  # it is not open
            found = await _asked(self._sessions.retrieve_async(session))
        if found.status == "expired":
            return SessionNow(status="ended")
        if found.status != "complete":
            return SessionNow(status="open")
        if found.payment_status == "paid":
            return _paid(found.amount_total, found.currency)
        intent = _intent_of(found)
        return _intent_now(await _asked(self._intents.retrieve_async(intent))) if intent else _PROCESSING

    async def _expire_intent(self, id_: str) -> SessionNow:
        try:
            found: Any = await _asked(self._intents.cancel_async(id_))
        except ProviderRefused:  # it has succeeded, or was cancelled
            found = await _asked(self._intents.retrieve_async(id_))
        now = _intent_now(found)
        return SessionNow(status="open") if now.status == "ended" and found.status != "canceled" else now

    async def refund(self, asked: RefundRequest) -> RefundNow:
        if asked.provider_id is not None:
            return _refund_now(await _asked(self._refunds.retrieve_async(asked.provider_id)))
        intent = asked.session
        if not intent.startswith("pi_"):
            intent = _intent_of(await _asked(self._sessions.retrieve_async(asked.session)))
        if not intent:
            raise ProviderAway(f"the session {asked.session} has no payment yet")
        if asked.again:  # Stripe forgets an idempotency key after a day
            of: Any = {"payment_intent": intent, "limit": REFUNDS_MOST}
            made: Any = await _asked(self._refunds.list_async(of))
            for each in made.data:
                if (each.to_dict().get("metadata") or {}).get(REFUND) == asked.id:
                    return _refund_now(each)
        params: Any = {
            "payment_intent": intent,
            "amount": _to_stripe(asked.amount_minor, asked.currency.lower()),
            "metadata": {REFUND: asked.id, "reason": asked.reason[:MAX_METADATA]},
        }
        once: Any = {"idempotency_key": asked.id}
        try:
            return _refund_now(await _asked(self._refunds.create_async(params, once)))
        except ProviderRefused as error:
            if str(error).startswith("charge_already_refunded"):  # all of it, by hand, in Stripe's dashboard
                return RefundNow(status="done")
            raise

    async def close(self) -> None:
        await self._http.close_async()


_PROCESSING: Final = SessionNow(status="processing")


async def _asked(call: Awaitable[T]) -> T:
    """Return Stripe's answer.

    Raises:
        ProviderAway: it did not answer, or not about this request.
        ProviderRefused: it refuses this request.
    """
    try:
        return await call
    except stripe.StripeError as error:
        status: int | None = error.http_status
        if status in KEY_REFUSED:  # the message names the key's last letters
            raise ProviderAway("Stripe does not take FLASHGUARD_STRIPE_KEY for this call") from error
        text = f"{error.code or type(error).__name__}: {error.user_message or error}"
        if status is not None and 400 <= status < 500 and status not in ASK_AGAIN:
            raise ProviderRefused(text[:300]) from error
        raise ProviderAway(text[:300]) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:  # while the answer's body was read
        raise ProviderAway(f"Stripe's answer broke off: {error or type(error).__name__}"[:300]) from error


def _to_stripe(minor: int, currency: str) -> int:
    return minor * 100 if currency in HUNDREDTHS else minor


def _from_stripe(amount: int, currency: str) -> int:
    return amount // 100 if currency in HUNDREDTHS else amount


def _line_item(line: PaidLine, currency: str) -> dict[str, Any]:
    return {
        "price_data": {
            "currency": currency,
            "unit_amount": _to_stripe(line.price_minor, currency),
            "product_data": {"name": line.name},
        },
        "quantity": line.quantity,
    }


def _paid(amount: int | None, currency: str | None) -> SessionNow:
    text = currency or ""
    return SessionNow(status="paid", amount_minor=_from_stripe(amount or 0, text), currency=text)


def _intent_of(session: Any) -> str:
    """Return the id of a session's PaymentIntent; empty where it has none yet."""
    intent = session.payment_intent
    return intent if isinstance(intent, str) else "" if intent is None else str(intent.id)


def _intent_now(intent: Any) -> SessionNow:
    """Return how a payment stands: one that failed can't be paid by its session any more."""
    if intent.status == "succeeded":
        return _paid(intent.amount_received, intent.currency)
    return SessionNow(status=_OF_INTENTS.get(intent.status, "ended"))


def _refund_now(refund: Any) -> RefundNow:
    return RefundNow(
        status=_OF_REFUNDS.get(refund.status, "pending"), provider_id=refund.id,
        error=getattr(refund, "failure_reason", None),
    )  # fmt: skip
