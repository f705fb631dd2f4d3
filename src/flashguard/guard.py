"""FlashGuard for use inside any asyncio program: reserve, buy, confirm, release, extend.

The HTTP API is built on this class and on nothing else. Selling outcomes are values (`Granted` or
`Refused`); the shop's own side (sales, stock, orders, audit) is `shop`.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Self

from flashguard.access.rate_limits import RateLimits
from flashguard.access.tokens import KeyRing
from flashguard.engine.backend import Backend
from flashguard.engine.baskets import checked_basket, customer_id
from flashguard.engine.decisions import Decisions
from flashguard.engine.durability import DurabilityWaiter
from flashguard.engine.fallback import Fallback
from flashguard.engine.holding import Holding
from flashguard.engine.receipts import Signer
from flashguard.engine.selling import Selling
from flashguard.errors import ConfigurationError
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.model import Admission, CustomerId, Key, Line, Outcome, Refused, Reservation
from flashguard.model.arguments import must
from flashguard.settings import Settings
from flashguard.shop.amending import Amending
from flashguard.shop.orders import Orders
from flashguard.shop.sales import Shop
from flashguard.spread import BatchSelling, ShardRouter
from flashguard.valkey.errors import RedisError
from flashguard.waiting.room import WaitingRooms
from flashguard.waiting.waiting_list import WaitingList

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces


class FlashGuard:
    """The engine: `async with await FlashGuard.connect(settings) as guard`. A recorder must run somewhere.

    An argument of a wrong type, or out of bounds, is refused as `invalid-request`. Methods whose answer has
    no refusals raise ValueError, or answer that there is no such thing.
    """

    def __init__(
        self, settings: Settings, backend: Backend, ring: KeyRing | None, traces: "Traces | None"
    ) -> None:
        self._backend, self.settings, self.partitions = backend, settings, backend.installation.partitions
        self.ledger, self.watermark = ledger, watermark = backend.ledger, backend.watermark
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.kernel = kernel = Kernel(backend.client, max_backlog=settings.max_backlog_entries)
        self.signer = signer = Signer(backend.installation.secret)
        self.decisions = decisions = Decisions(
            kernel, ledger, watermark, settings, self.partitions, traces=traces, listening=backend.listening
        )
        fallback, seconds = Fallback(ledger, settings.record_timeout_seconds), settings.memory_timeout_seconds
        self.durability = DurabilityWaiter(backend.client, settings.hold_replicas, seconds)
        selling = Selling(decisions, fallback, signer, self.durability)
        self._holding = Holding(decisions, fallback, signer)
        self.spread = ShardRouter(kernel, ledger, decisions, selling, self._holding, fallback, settings)
        self.shop = Shop(kernel, ledger, decisions, settings, self.spread, self.durability)
        amending = Amending(
            ledger, decisions, self.spread, self._holding, fallback, signer, self.durability, settings,
            self.customer_of, self.shop.recent.forget,
        )  # fmt: skip
        self.amend, self.transfer = amending.amend, amending.transfer
        self.orders = Orders(ledger, decisions, amending, settings, self.shop.recent.forget)
        self.basket = partial(checked_basket, fold_case=settings.folds_case, identity=signer.identity)
        self.batch = BatchSelling(self.spread, self.basket)
        self.waiting = WaitingList(decisions, ledger, signer, self.customer_of, self.spread)
        circuits, ring, recent = decisions.circuits, ring or KeyRing(), self.shop.recent
        self.rooms = WaitingRooms(decisions, ledger, signer, ring, self.customer_of, recent.sale)
        self.rates = RateLimits(kernel, circuits.limits, settings, owns_circuit=circuits.apart)

    @classmethod
    async def connect(
        cls,
        settings: Settings | None = None,
        *,
        lone: bool = False,
        ring: KeyRing | None = None,
        traces: "Traces | None" = None,
    ) -> Self:
        """Connect to the servers that the settings name, or to those of the `flashguard up` that runs here.

        Parameters:
            lone: serve one request at a time (AWS Lambda); subscribe to commits only while one is pending.
            ring: the keys that sign admissions to waiting rooms; None: a ring without keys.
            traces: where spans are recorded; None: tracing is off.

        Raises:
            ConfigurationError: no server is named and no `up` runs, or the ledger is not migrated.
            LedgerAway, MemoryAway: a server can't be reached.
        """
        if settings is not None and not isinstance(settings, Settings):
            raise ConfigurationError("settings: must be Settings, or None")
        settings = settings or Settings()
        if not settings.redis_url or not settings.database_url:
            from flashguard.embedded.run_file import with_servers  # not loaded where servers are named

            settings = with_servers(settings)
        guard = cls(settings, await Backend.connect(settings, lone=lone), ring, traces)
        try:
            async with asyncio.timeout(settings.memory_timeout_seconds):
                await guard.kernel.load_scripts()
                await guard._backend.subscribed()
        except BaseException as error:
            await guard.close()
            if isinstance(error, RedisError | OSError | TimeoutError):
                raise MemoryAway(str(error) or "no answer in time") from error
            raise
        return guard

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer what was asked so far, then close the connections."""
        await self.spread.drain()
        await self.decisions.drain()
        self.durability.close()
        self.rooms.proofs.close()
        await self._backend.close()

    async def renew(self, seconds: float) -> None:
        """Give up connections that don't answer in time: for a process that was frozen."""
        must((type(seconds) in (int, float) and 0 < seconds < inf, "seconds: a number above 0"))
        self.shop.recent.clear()
        await self._backend.check(seconds)

    def customer_of(self, text: str) -> CustomerId | None:
        """Return the spelling of a customer's id that limits count by; None where it can't be an id."""
        return customer_id(text, fold_case=self.settings.folds_case)

    async def reserve(
        self, sale: str, customer: str, lines: Sequence[Line], *, key: Key | None = None,
        admitted_until: int | Admission = 0, reference: str | None = None,
        metadata: Mapping[str, str] | None = None, identities: Mapping[str, str] | None = None,
    ) -> Outcome:  # fmt: skip
        """Hold units until `expires_at`.

        Parameters:
            lines: what to hold, all or nothing; quantities of the same sku add up.
            key: an idempotency key; the same key again returns the first outcome.
            admitted_until: this customer's admission: see `rooms.admitted_until`.
            reference, metadata: the shop's own, to find it again: a name, and texts by name.
            identities: whose units a limit counts together, by its name: {"card": "…"}. Kept as keyed hashes.
        """
        basket = self.basket(
            sale, customer, lines, key, buy=False, admitted_until=admitted_until, reference=reference,
            metadata=metadata, identities=identities,
        )  # fmt: skip
        return basket if isinstance(basket, Refused) else await self.spread.sell(basket)

    async def buy(
        self, sale: str, customer: str, lines: Sequence[Line], *, key: Key | None = None,
        admitted_until: int | Admission = 0, reference: str | None = None,
        metadata: Mapping[str, str] | None = None, identities: Mapping[str, str] | None = None,
    ) -> Outcome:  # fmt: skip
        """Reserve and confirm in one atomic step; `confirmed` means committed in PostgreSQL."""
        basket = self.basket(
            sale, customer, lines, key, buy=True, admitted_until=admitted_until, reference=reference,
            metadata=metadata, identities=identities,
        )  # fmt: skip
        return basket if isinstance(basket, Refused) else await self.spread.sell(basket)

    async def confirm(self, id_: str, *, receipt: str | None = None) -> Outcome:
        """Turn a live hold into an order, committed in PostgreSQL. A second confirm returns the same order.

        A hold that has expired is refused as `reservation-expired`, with what to refund.

        Parameters:
            receipt: the receipt that came with the hold. With it, a hold that has expired or that a lost
                memory forgot is confirmed late, while its units are available.
        """
        return await self.spread.confirm(id_, receipt)

    async def release(self, id_: str) -> Outcome:
        """Return a live hold's units to stock at once; `released` means recorded in PostgreSQL."""
        return await self._holding.release(id_)

    async def extend(self, id_: str, *, key: Key | None = None) -> Outcome:
        """Give a live hold the sale's hold time again from now, up to its absolute limit.

        Parameters:
            key: an idempotency key; the same key again extends nothing.
        """
        return await self._holding.extend(id_, key)

    async def reservation(self, id_: str) -> Reservation | Refused:
        """Return a reservation as it is now: a live hold from memory, anything else from the ledger."""
        return await self._holding.reservation(id_)
