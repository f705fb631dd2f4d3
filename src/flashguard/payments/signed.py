"""A provider behind a small service of the shop's own: requests and events are JSON, signed after Standard
Webhooks with one secret. docs/how-to/payments.md has its calls."""

import secrets
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings
from flashguard.webhooks.signing import is_signed, signed_headers

from .provider import (
    Event,
    EventKind,
    Forged,
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
AT_ONCE: Final = 16
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer; a longer one counts as none."""
ASK_AGAIN: Final = (408, 409, 425, 429)
"""Statuses below 500 after which the same request may succeed."""

_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class _SignedData(Struct, frozen=True):
    payment_id: str
    session: str = ""
    amount_minor: int = 0
    currency: str = ""
    refund_id: str = ""


class _SignedEvent(Struct, frozen=True):
    data: _SignedData


_KINDS: Final[dict[str, EventKind]] = {
    "payment.paid": "paid",
    "payment.ended": "ended",
    "refund.changed": "refund",
}


class SignedService:
    """The provider `signed`.

    Raises:
        ConfigurationError: its address or its secret is missing.
    """

    def __init__(self, settings: Settings) -> None:
        url, secret = settings.payment_signed_url, settings.payment_signed_secret
        if url is None or secret is None or not secret.get_secret_value().startswith("whsec_"):
            raise ConfigurationError(
                "The payment provider `signed` needs FLASHGUARD_PAYMENT_SIGNED_URL and "
                "FLASHGUARD_PAYMENT_SIGNED_SECRET (whsec_…)."
            )
        self._url, self._secret = url.rstrip("/"), secret.get_secret_value()
        self._http: aiohttp.ClientSession | None = None

    async def create(self, asked: SessionRequest) -> Session:
        return await self._ask("sessions", asked, Session)

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        if not is_signed(headers, body, self._secret, time.time()):
            raise Forged(
                "the event is not signed with FLASHGUARD_PAYMENT_SIGNED_SECRET, or its time is not now"
            )
        try:
            kind = kind_of(body, _KINDS)
            if kind is None:
                return None
            data = msgspec.json.decode(body, type=_SignedEvent).data
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Forged(f"the event can't be read: {error}") from error
        return Event(
            id=headers["webhook-id"], kind=kind, payment=data.payment_id, session=data.session,
            amount_minor=data.amount_minor, currency=data.currency, refund=data.refund_id,
        )  # fmt: skip

    async def expire(self, session: str) -> SessionNow:
        return await self._ask("sessions/expire", {"session": session}, SessionNow)

    async def refund(self, asked: RefundRequest) -> RefundNow:
        return await self._ask("refunds", asked, RefundNow)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _ask(self, path: str, what: object, answer: type[T]) -> T:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            )
        body = _encode(what)
        headers = signed_headers(f"req_{secrets.token_hex(12)}", int(time.time()), body, [self._secret])
        headers["Content-Type"] = "application/json"
        try:
            async with self._http.post(
                f"{self._url}/{path}", data=body, headers=headers, allow_redirects=False
            ) as response:
                text = b""
                async for piece in response.content.iter_any():
                    text += piece
                    if len(text) > MAX_ANSWER:
                        raise ProviderAway(f"{path}: answered with more than {MAX_ANSWER} bytes")
                if 400 <= response.status < 500 and response.status not in ASK_AGAIN:
                    raise ProviderRefused(f"{path}: answered {response.status}")
                if not 200 <= response.status < 300:
                    raise ProviderAway(f"{path}: answered {response.status}")
                return msgspec.json.decode(text, type=answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ProviderAway(f"{path}: {error or type(error).__name__}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProviderAway(f"{path}: the answer can't be read: {error}") from error
