"""Limits on requests per client, with the headers of draft-ietf-httpapi-ratelimit-headers-11."""

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flashguard.access.rate_limits import Allowance, Bucket, RateLimits
from flashguard.api.access import Caller, Callers
from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import RefusedError, problem
from flashguard.api.schemas.batches import PlainRequest
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import RateKind, Refused
from flashguard.settings import Settings

from .client_address import Addresses

if TYPE_CHECKING:
    from starlette.requests import Request

Headers = list[tuple[bytes, bytes]]


def headers_of(rates: RateLimits, allowance: Allowance) -> Headers:
    """Return the headers that name all limits and the state of the narrowest one."""
    seconds = math.ceil(allowance.wait_seconds or allowance.full_in_seconds)
    return [
        (b"ratelimit-policy", rates.policy),
        (b"ratelimit", f'"{allowance.kind}";r={allowance.left};t={seconds}'.encode()),
    ]


def refusal(allowance: Allowance) -> Refused:
    """Return the refusal of a request over its limit."""
    tokens, seconds = allowance.rate
    return Refused(
        code=Code.RATE_LIMITED,
        detail=f"More than {tokens} requests in {seconds} s from this {allowance.kind}.",
        retry_after_seconds=math.ceil(allowance.wait_seconds),
    )


class Limits:
    """The buckets that a request counts in; the lane and the framework share them."""

    def __init__(self, settings: Settings) -> None:
        self.addresses = Addresses(settings.trusted_proxies)
        self._per_address = settings.rate_per_address is not None
        self.on = any((settings.rate_per_address, settings.rate_per_key, settings.rate_per_customer))

    def buckets(self, peer: str | None, headers: Headers, caller: Caller | None) -> list[Bucket]:
        """Return the buckets of a request whose body was not read yet."""
        found = []
        if self._per_address:
            found.append(Bucket(RateKind.ADDRESS, self.addresses.bucket(peer, headers)))
        if caller is not None and caller.key is not None:
            found.append(Bucket(RateKind.KEY, caller.key))
        if caller is not None and caller.customer is not None:
            found.append(Bucket(RateKind.CUSTOMER, caller.customer))
        return found


class RateLimit:
    """The framework's middleware: refuses a client over its limit before anything else, and adds the
    headers."""

    def __init__(self, app: ASGIApp, limits: Limits, callers: Callers) -> None:
        self.app = app
        self._limits = limits
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        rates: RateLimits = scope["app"].state.guard.rates
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        caller = self._callers.identify(sent[0]) if len(sent) == 1 else None
        peer = scope["client"][0] if scope.get("client") else None
        known = caller if isinstance(caller, Caller) else None
        allowance = await rates.spend(self._limits.buckets(peer, scope["headers"], known))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["allowance"] = allowance

        async def send_with_headers(message: Message) -> None:
            now: Allowance | None = state["allowance"]
            if message["type"] == "http.response.start" and now is not None:
                message["headers"] = [*message.get("headers", ()), *headers_of(rates, now)]
            await send(message)

        if allowance is not None and allowance.wait_seconds > 0:
            await problem(refusal(allowance))(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


def customer_bucket(guard: FlashGuard, customer: str) -> Bucket:
    """Return the bucket of a customer whom the body of a request names."""
    return Bucket(RateKind.CUSTOMER, guard.customer_of(customer) or customer)


async def count_batch(
    request: "Request", guard: FlashGuard, caller: Caller, requests: Sequence[PlainRequest | Encoded]
) -> list[PlainRequest | Encoded]:
    """Count each request of a batch as its single call would count; return the requests, with a refusal in
    place of each that is over a limit. The call itself has counted for the first."""
    if not guard.rates.on:
        return list(requests)
    limits: Limits = request.app.state.limits
    peer = request.client.host if request.client else None
    ours = limits.buckets(peer, request.scope["headers"], caller)
    spent = await asyncio.gather(
        *(
            guard.rates.spend(
                (ours if place else [])
                + ([] if isinstance(each, Encoded) else [customer_bucket(guard, each.customer)])
            )
            for place, each in enumerate(requests)
        )
    )
    counted = list(requests)
    for place, allowance in enumerate(spent):
        if allowance is not None:
            _note_narrowest(request, allowance)
            if allowance.wait_seconds > 0:
                counted[place] = problem(refusal(allowance))
    return counted


def _note_narrowest(request: "Request", allowance: Allowance) -> None:
    """Make the answer's headers say what is left of the narrowest limit."""
    before: Allowance | None = getattr(request.state, "allowance", None)
    if before is None or allowance.wait_seconds > 0 or allowance.left < before.left:
        request.state.allowance = allowance


async def count_customer(request: "Request", guard: FlashGuard, caller: Caller, customer: str) -> None:
    """Count a request in its customer's bucket, unless the caller's token already did.

    Raises:
        RefusedError: the customer is over the limit.
    """
    if RateKind.CUSTOMER not in guard.rates.by_kind or caller.customer is not None:
        return
    allowance = await guard.rates.spend([customer_bucket(guard, customer)])
    if allowance is None:
        return
    _note_narrowest(request, allowance)
    if allowance.wait_seconds > 0:
        raise RefusedError(refusal(allowance))
