"""How often somebody may ask: token buckets in memory, shared by all processes, asked for in batches.

A limit that can't be checked lets pass: where memory is away, what matters is answered 503 anyway; see
docs/decisions/0009.
"""

import asyncio
import logging
import time
from typing import Final, NamedTuple

from flashguard.kernel import keys
from flashguard.kernel.circuit import Circuit
from flashguard.kernel.coalescer import Coalescer, QueueFull
from flashguard.kernel.kernel import Kernel, MemoryAway, MemoryGone
from flashguard.model import RateKind
from flashguard.settings import Settings

log = logging.getLogger("flashguard")

CHECK_SECONDS: Final = 0.5
"""How long a check may take before the request passes without it."""
WARN_SECONDS: Final = 1.0
MAX_REFUSED: Final = 50_000
"""Empty buckets that a process remembers, so that whoever hammers on one costs memory nothing."""


class Rate(NamedTuple):
    """So many requests in so many seconds; as many at once."""

    tokens: int
    seconds: int


class Bucket(NamedTuple):
    """Who asks, in one respect."""

    kind: RateKind
    name: str


class Taken(NamedTuple):
    """What a request found in the narrowest of its buckets."""

    kind: RateKind
    rate: Rate
    left: int
    full_in_seconds: float
    wait_seconds: float
    """More than 0: refused; until there is a token again."""


class _Ask(NamedTuple):
    buckets: list[Bucket]
    future: "asyncio.Future[Taken | None]"


def _rate(text: str | None) -> Rate | None:
    if text is None:
        return None
    tokens, _, seconds = text.partition("/")
    return Rate(int(tokens), int(seconds))


class Rates:
    """The limits that the settings name; `on` is False where they name none, and then nothing is asked."""

    def __init__(self, kernel: Kernel, circuit: Circuit, settings: Settings, *, alone: bool = False) -> None:
        self._kernel = kernel
        self._circuit = circuit
        self._alone = alone
        given = {
            RateKind.ADDRESS: _rate(settings.rate_per_address),
            RateKind.KEY: _rate(settings.rate_per_key),
            RateKind.CUSTOMER: _rate(settings.rate_per_customer),
        }
        self.of = {kind: rate for kind, rate in given.items() if rate is not None}
        self.on = bool(self.of)
        self.policy = ", ".join(
            f'"{kind}";q={rate.tokens};w={rate.seconds}' for kind, rate in self.of.items()
        ).encode()
        """All limits, as the header `RateLimit-Policy` names them."""
        self._sizes = {kind: (rate.tokens, rate.seconds * 1000) for kind, rate in self.of.items()}
        self.let_pass = 0
        """Requests that passed because nobody could tell."""
        self._refused: dict[Bucket, float] = {}
        self._warned_at = -WARN_SECONDS
        self._coalescer: Coalescer[_Ask] = Coalescer(
            self._send, max_batch=settings.max_batch, max_queue=settings.max_queue
        )

    async def take(self, buckets: list[Bucket]) -> Taken | None:
        """Takes a token from each of these buckets that has a limit, or none; None where nobody can tell."""
        buckets = [bucket for bucket in buckets if bucket.kind in self.of]
        if not buckets:
            return None
        if self._refused:
            now = time.monotonic()
            for bucket in buckets:
                until = self._refused.get(bucket, 0.0)
                if until > now:
                    return Taken(bucket.kind, self.of[bucket.kind], 0, until - now, until - now)
        ask = _Ask(buckets, asyncio.get_running_loop().create_future())
        try:
            self._coalescer.submit(ask)
        except QueueFull:
            self.let_pass += 1
            return None
        return await ask.future

    async def _send(self, batch: list[_Ask]) -> None:
        taken: list[Taken | None] = [None] * len(batch)
        try:
            if not self._circuit.open:
                async with asyncio.timeout(CHECK_SECONDS):
                    taken = await self._ask(batch)
        except (MemoryAway, TimeoutError) as error:
            self._warn(error)
            if self._alone and isinstance(error, MemoryGone):
                self._circuit.trip(error)
        except Exception:
            log.exception("limits of %d requests could not be checked", len(batch))
        finally:
            for ask, what in zip(batch, taken, strict=True):
                self.let_pass += what is None
                if not ask.future.done():
                    ask.future.set_result(what)

    async def _ask(self, batch: list[_Ask]) -> list[Taken | None]:
        names: dict[Bucket, int] = {}
        sizes = self._sizes
        requests = []
        for ask in batch:
            request: list[int] = []
            for bucket in ask.buckets:
                request += (names.setdefault(bucket, len(names)), *sizes[bucket.kind])
            requests.append(request)
        results = await self._kernel.take_tokens([keys.bucket(*bucket) for bucket in names], requests)
        return [self._taken(ask, *result) for ask, result in zip(batch, results, strict=True)]

    def _taken(self, ask: _Ask, narrowest: int, left: int, full_in_ms: int, wait_ms: int) -> Taken:
        bucket = ask.buckets[narrowest]
        if wait_ms > 0:
            if len(self._refused) >= MAX_REFUSED:
                self._refused.clear()
            self._refused[bucket] = time.monotonic() + wait_ms / 1000
        elif self._refused:
            self._refused.pop(bucket, None)
        return Taken(bucket.kind, self.of[bucket.kind], left, full_in_ms / 1000, wait_ms / 1000)

    def _warn(self, error: Exception) -> None:
        if time.monotonic() - self._warned_at > WARN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("limits could not be checked, requests pass: %s", error or "no answer in time")
