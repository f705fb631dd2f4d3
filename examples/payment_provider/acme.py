"""A payment provider of your own: here Acme, whose API `stand_in.py` documents and speaks.

FlashGuard calls it; it knows nothing of holds and orders. Three things make money safe, and are yours to
keep: the same id means the same checkout and the same refund; an event is verified before it is read; an
error says whether the request may have taken effect (`ProviderAway`: it is made again) or never will
(`ProviderRefused`).
"""

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from typing import Literal, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from flashguard.errors import ConfigurationError
from flashguard.payments import (
    Event,
    Forged,
    ProviderAway,
    ProviderRefused,
    RefundNow,
    RefundRequest,
    Session,
    SessionNow,
    SessionRequest,
)
from flashguard.settings import Settings

TIMEOUT = aiohttp.ClientTimeout(total=10.0)  # every call must end
TOLERANCE_SECONDS = 300  # an older event may be a replay
REFUSED = (400, 404, 409, 422)  # Acme did nothing, and never will
T = TypeVar("T")


class Checkout(Struct):
    """Acme's session, and in an event what became of it. `reference` is our payment's id."""

    id: str
    reference: str
    state: Literal["open", "ended", "paid"]
    pay_url: str
    paid: int
    currency: str


class Refund(Struct):
    id: str
    state: Literal["pending", "done", "failed"]


class AcmeEvent(Struct):
    id: str
    type: str
    checkout: Checkout


class Acme:
    """The provider `acme`, which is the class's name in lower case."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._url, self._key = os.environ["ACME_URL"], os.environ["ACME_KEY"]
            self._secret = os.environ["ACME_SECRET"].encode()
        except KeyError as error:
            raise ConfigurationError(f"The payment provider `acme` needs {error.args[0]}.") from error
        self._http: aiohttp.ClientSession | None = None

    async def create(self, asked: SessionRequest) -> Session:
        """Make the checkout. With the same key Acme answers with the one it made, if its answer was lost."""
        body = {
            "reference": asked.id,
            "amount": asked.amount_minor,
            "currency": asked.currency,
            "return_url": asked.success_url,
        }
        checkout = await self._call("checkouts", body, Checkout, once=asked.id)
        return Session(id=checkout.id, url=checkout.pay_url)

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Verify an event, then read it. `reference` leads from Acme's checkout back to our payment."""
        at, _, signature = headers.get("acme-signature", "").partition(".")
        expected = hmac.new(self._secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        is_now = at.isascii() and at.isdecimal() and abs(time.time() - int(at)) < TOLERANCE_SECONDS
        if not is_now or not hmac.compare_digest(signature.encode(), expected.encode()):
            raise Forged("the event is not signed with ACME_SECRET, or its time is not now")
        try:
            event = msgspec.json.decode(body, type=AcmeEvent)
        except msgspec.MsgspecError as error:
            raise Forged(f"the event can't be read: {error}") from error
        if event.type != "checkout.paid":
            return None
        checkout = event.checkout
        return Event(
            id=event.id,
            kind="paid",
            payment=checkout.reference,
            session=checkout.id,
            amount_minor=checkout.paid,
            currency=checkout.currency,
        )

    async def expire(self, session: str) -> SessionNow:
        """End the checkout. Acme answers with `paid` where the buyer was faster: then the money counts."""
        checkout = await self._call(f"checkouts/{session}/end", {}, Checkout)
        return SessionNow(status=checkout.state, amount_minor=checkout.paid, currency=checkout.currency)

    async def refund(self, asked: RefundRequest) -> RefundNow:
        """Make the refund. With the same key Acme answers how the one that it made stands now."""
        body = {"checkout": asked.session, "amount": asked.amount_minor}
        refund = await self._call("refunds", body, Refund, once=asked.id)
        return RefundNow(status=refund.state, provider_id=refund.id)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    async def _call(self, path: str, body: object, answer: type[T], once: str = "") -> T:
        self._http = self._http or aiohttp.ClientSession(timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": once}
        try:
            async with self._http.post(f"{self._url}/{path}", json=body, headers=headers) as response:
                if response.status in REFUSED:
                    raise ProviderRefused(f"{path}: answered {response.status}")
                if response.status != 200:
                    raise ProviderAway(f"{path}: answered {response.status}")
                return msgspec.json.decode(await response.read(), type=answer)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            raise ProviderAway(f"{path}: {error or type(error).__name__}") from error
