"""Rate limits: token buckets in Valkey, shared by all processes and checked in batches.

When the limits can't be checked, requests pass: without Valkey, every call that matters is answered 503
anyway. See docs/decisions/0009.
"""

import asyncio
import logging
import time
from typing import Final, NamedTuple

from flashguard.kernel import keys
from flashguard.kernel.circuit import Circuit
from flashguard.kernel.coalescer import Coalescer, QueueFull
from flashguard.kernel.errors import MemoryAway, MemoryGone
from flashguard.kernel.kernel import Kernel
from flashguard.model import RateKind
from flashguard.settings import Settings

log = logging.getLogger("flashguard")

CHECK_SECONDS: Final = 0.5
"""Timeout of a check; then its requests pass."""
WARN_SECONDS: Final = 1.0
"""Shortest time between two warnings."""
MAX_REFUSED: Final = 50_000
"""Most empty buckets that a process remembers, so that repeated refusals cost Valkey nothing."""


class Rate(NamedTuple):
    """A limit: this number of requests, also at once, in this number of seconds."""

    tokens: int
    seconds: int


class Bucket(NamedTuple):
    """One counter of requests: of an address, an API key or a customer."""

    kind: RateKind
    name: str


class Allowance(NamedTuple):
    """The state of a request's narrowest bucket after the request was counted."""

    kind: RateKind
    rate: Rate
    left: int
    full_in_seconds: float
    wait_seconds: float
    """Time until the bucket has a token again; more than 0 when the request is refused."""


class _Check(NamedTuple):
    buckets: list[Bucket]
    future: "asyncio.Future[Allowance | None]"


def _rate(text: str | None) -> Rate | None:
    if text is None:
        return None
    tokens, _, seconds = text.partition("/")
    return Rate(int(tokens), int(seconds))


class RateLimits:
    """The rate limits in the settings; `on` is False when there are none.

    Parameters:
        circuit: while it is open, requests pass unchecked.
        owns_circuit: True when only the limits use this circuit, so a failed check must open it.
    """

    def __init__(
        self, kernel: Kernel, circuit: Circuit, settings: Settings, *, owns_circuit: bool = False
    ) -> None:
        self._kernel = kernel
        self._circuit = circuit
        self._owns_circuit = owns_circuit
        configured = {
            RateKind.ADDRESS: _rate(settings.rate_per_address),
            RateKind.KEY: _rate(settings.rate_per_key),
            RateKind.CUSTOMER: _rate(settings.rate_per_customer),
        }
        self.by_kind = {kind: rate for kind, rate in configured.items() if rate is not None}
        self.on = bool(self.by_kind)
        self.policy = ", ".join(
            f'"{kind}";q={rate.tokens};w={rate.seconds}' for kind, rate in self.by_kind.items()
        ).encode()
        """The value of the header `RateLimit-Policy`: all limits."""
        self._sizes = {kind: (rate.tokens, rate.seconds * 1000) for kind, rate in self.by_kind.items()}
        self.let_pass = 0
        """Number of requests that passed unchecked."""
        self._refused: dict[Bucket, float] = {}
        self._warned_at = -WARN_SECONDS
        self._coalescer: Coalescer[_Check] = Coalescer(
            self._send, max_batch=settings.max_batch, max_queue=settings.max_queue
        )

    async def spend(self, buckets: list[Bucket]) -> Allowance | None:
        """Spend a token of each of these buckets that has a limit, or no token if one is empty.

        Returns the narrowest bucket's allowance; None when there is no limit, or the check failed.
        """
        buckets = [bucket for bucket in buckets if bucket.kind in self.by_kind]
        if not buckets:
            return None
        if self._refused:
            now = time.monotonic()
            for bucket in buckets:
                until = self._refused.get(bucket, 0.0)
                if until > now:
                    return Allowance(bucket.kind, self.by_kind[bucket.kind], 0, until - now, until - now)
        check = _Check(buckets, asyncio.get_running_loop().create_future())
        try:
            self._coalescer.submit(check)
        except QueueFull:
            self.let_pass += 1
            return None
        return await check.future

    async def _send(self, batch: list[_Check]) -> None:
        allowances: list[Allowance | None] = [None] * len(batch)
        try:
            if not self._circuit.open:
                async with asyncio.timeout(CHECK_SECONDS):
                    allowances = await self._check(batch)
        except (MemoryAway, TimeoutError) as error:
            self._warn(error)
            if self._owns_circuit and isinstance(error, MemoryGone):
                self._circuit.trip(error)
        except Exception:
            log.exception("cannot check the rate limits of %d requests; they pass", len(batch))
        finally:
            for check, allowance in zip(batch, allowances, strict=True):
                self.let_pass += allowance is None
                if not check.future.done():
                    check.future.set_result(allowance)

    async def _check(self, batch: list[_Check]) -> list[Allowance | None]:
        names: dict[Bucket, int] = {}
        sizes = self._sizes
        requests = []
        for check in batch:
            request: list[int] = []
            for bucket in check.buckets:
                request += (names.setdefault(bucket, len(names)), *sizes[bucket.kind])
            requests.append(request)
        results = await self._kernel.spend_tokens([keys.bucket(*bucket) for bucket in names], requests)
        return [self._allowance(check, *result) for check, result in zip(batch, results, strict=True)]

    def _allowance(
        self, check: _Check, narrowest: int, left: int, full_in_ms: int, wait_ms: int
    ) -> Allowance:
        bucket = check.buckets[narrowest]
        if wait_ms > 0:
            if len(self._refused) >= MAX_REFUSED:
                self._refused.clear()
            self._refused[bucket] = time.monotonic() + wait_ms / 1000
        elif self._refused:
            self._refused.pop(bucket, None)
        return Allowance(bucket.kind, self.by_kind[bucket.kind], left, full_in_ms / 1000, wait_ms / 1000)

    def _warn(self, error: Exception) -> None:
        if time.monotonic() - self._warned_at > WARN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("cannot check rate limits; requests pass: %s", error or "no answer in time")
