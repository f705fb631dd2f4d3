"""A second sale of every run, on which everything else is done that a shop and its buyers can do.

No sequential sale explains it, since so much changes. What must hold: the ledger has each order that was
answered, units are where they belong, memory and ledger agree in the end, and no request fails. A key leads
to one basket and to one end of a hold. Nothing is ever sold of a third sale: its waiting room admits no
buyer.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from flashguard import BasketRequest, FlashGuard
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import Granted, Line, Refused
from tests.campaign.checker import Violation
from tests.simulation.crowd_sales import CROWD, SKUS, crowd_sale
from tests.simulation.gate import past_the_room
from tests.simulation.processes import Api, NoAnswer, ServerError

PAUSES_SECONDS: Final = (0.05, 0.15, 0.15)
PRESSES_SECONDS: Final = (0.002, 0.1, 1.0)
"""How soon a buyer presses again whose order the ledger refused."""
WEIGHTS: Final = (0.2, 1.0, 1.0, 4.0)
"""How frequent each kind of request is in a run: which ones are rare together is what finds most."""
NO_ORDER: Final = ("reservation-expired", "reservation-released", "unknown-reservation")
"""What is never said of an order."""
ORDERED: Final = ("confirmed", "cancelled")
REPEATS_MOST: Final = 40
REPEAT_SECONDS: Final = 10.0
LOOKS_SECONDS: Final = 3.0
LOOKS_MOST: Final = 12
LOOKS_EACH: Final = 2
Work = Callable[[FlashGuard], Awaitable[Any]]


class Crowd:
    """The buyers and the shop of that sale.

    Parameters:
        promised: called with a reservation's id and `confirmed` or `released` when that was answered.
        forgets: returns whether memory or the ledger may have lost its newest entries.
        is_order: returns whether the ledger has this reservation as an order.
    """

    def __init__(
        self,
        apis: list[Api],
        rng: random.Random,
        *,
        size: int,
        partitions: int,
        promised: Callable[[str, str], None],
        forgets: Callable[[], bool],
        is_order: Callable[[str], bool],
    ) -> None:
        self._apis, self._rng, self._size, self._promised, self._forgets = apis, rng, size, promised, forgets
        self._is_order = is_order
        self.sale = crowd_sale(rng, partitions)
        self._customers = rng.choice([2, 4, 8, 40])
        self._greed = rng.choice([0.0, 0.3, 0.6])
        """How likely a request is that of the one customer who asks for more than others do."""
        self._waits = rng.choice([0.0, 0.5, 1.0])
        """How likely a buyer for whom too little is left joins the waiting list."""
        self._looks = rng.choice([0.0, 0.5, 1.0])
        """How likely a buyer asks for an order again."""
        self._later: list[asyncio.Task[None]] = []
        self._patience_seconds = rng.choice([0.3, 1.0, 5.0])
        self._pause = rng.choice(PAUSES_SECONDS)
        self._reuses = rng.choice([0.1, 0.2, 0.5])
        """How likely a key is one that was used before."""
        self._weights = [rng.choice(WEIGHTS) for _ in range(32)]
        self.limit = self.sale.limit_per_customer if rng.random() < 0.85 else None
        """The limit, where it never changes."""
        self.violations: list[Violation] = []
        self.closing = False
        self.words: Counter[str] = Counter()
        self.orders: dict[str, None] = {}
        """Those that were answered as confirmed, in this order."""
        self._done: list[Work] = []
        self._holds: list[tuple[str, str | None]] = []
        self._entries: list[str] = []
        self._keys: list[str] = ["key-0"]
        self._asked: dict[str, tuple[Any, ...]] = {}
        """What was first granted under each id."""
        self._ends: dict[tuple[str, str], datetime | None] = {}
        """The end of each hold that a key has extended."""
        self._prepare()

    def _prepare(self) -> None:
        """Draw what more a kind of crowd needs."""

    async def run(self) -> None:
        """Do one thing after another until `closing`."""
        await asyncio.gather(*(self._one() for _ in range(self._size)))
        await asyncio.gather(*self._later)

    async def _one(self) -> None:
        rng = self._rng
        while not self.closing:
            await asyncio.sleep(rng.random() * 2 * self._pause)
            if rng.random() < 0.1 and self.orders:
                await asyncio.gather(*(self._call(work) for work in self._changes(self._order())))
            elif rng.random() < 0.15:
                await self._call(self._again(self._order()))
            else:
                kinds = self._buyers if rng.random() < 0.8 else self._shops
                [kind] = rng.choices(kinds, self._weights[: len(kinds)])
                await self._call(kind())

    async def _call(self, work: Work) -> None:
        with contextlib.suppress(NoAnswer, MemoryAway, LedgerAway, ServerError, TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                outcome = await self._rng.choice(self._apis).call(work)
                if isinstance(outcome, Granted) and outcome.reservation.status in ORDERED:
                    self._done.append(work)
                    self._look_later(outcome.reservation.id)
                self._read(outcome)

    def _look_later(self, order: str) -> None:
        """Have a buyer ask for this order once more, after a while."""
        if not self.closing and self._rng.random() < self._looks:
            self._later.append(asyncio.ensure_future(self._look(order, self._rng.random() * LOOKS_SECONDS)))

    def look_again(self, orders: list[str]) -> None:
        """Have buyers ask for the newest orders and for these of another sale: an outage makes them look."""
        if self.closing or not self._size:
            return
        for order in [*[*self.orders][-LOOKS_MOST:], *orders[-LOOKS_MOST:]] * LOOKS_EACH:
            self._later.append(asyncio.ensure_future(self._look(order, self._rng.random() * LOOKS_SECONDS)))

    async def _look(self, order: str, pause: float) -> None:
        await asyncio.sleep(pause)
        await self._call(self._again(order) if order in self.orders else self._only_confirm(order))

    async def repeat(self) -> None:
        """Repeat some requests that made or changed an order: none may do so again."""
        self._patience_seconds = REPEAT_SECONDS
        done = [] if self._forgets() else self._done  # a hold's key may be forgotten with it
        for work in self._rng.sample(done, min(REPEATS_MOST, len(done))):
            await self._call(work)

    def _changes(self, order: str) -> list[Work]:
        """Change an order several times at once: each time otherwise, or in the same way under other keys."""
        if self._rng.random() < 0.5:
            return [self._change(order) for _ in range(self._rng.choice([2, 3]))]
        own = [Line(sku=sku, quantity=units) for sku, units in self._asked.get(order, ())[2:]]
        items, keys = self._rng.choice([None, own or None]), [f"{self._key()}-{n}" for n in range(3)]

        def cancel(key: str) -> Work:
            return lambda guard: guard.orders.cancel(
                order, restock=True, reason="crowd", items=items, key=key
            )

        return [cancel(key) for key in keys]

    def _change(self, order: str) -> Work:
        """Amend or cancel an order, or a part of it."""
        lines, key, restock = self._lines(), self._key(), self._rng.random() < 0.7
        if self._rng.random() < 0.4:
            return lambda guard: guard.amend(order, lines, restock=restock, key=key)
        own = [Line(sku=sku, quantity=units) for sku, units in self._asked.get(order, ())[2:]]
        items = self._rng.choice([None, lines, own or lines, own or lines])
        return lambda guard: guard.orders.cancel(order, restock=restock, reason="crowd", items=items, key=key)

    def _confirm(self, hold: str, receipt: str | None = None) -> Work:
        """Pay for a hold: of what is an order before, no buyer is told to have it refunded."""

        async def work(guard: FlashGuard) -> Any:
            was_order = self._is_order(hold)
            outcome = await guard.confirm(hold, receipt=receipt)
            if was_order and isinstance(outcome, Refused) and outcome.refund is not None:
                self.violations.append(Violation("refund of an order", f"{hold} is an order: {outcome}"))
            return outcome

        return work

    def _only_confirm(self, order: str) -> Work:
        """Confirm an order of another sale once more: it is not one of this crowd's."""

        async def work(guard: FlashGuard) -> None:
            await self._confirm(order)(guard)

        return work

    def _again(self, order: str) -> Work:
        """Confirm an order once more: no answer may say that it has ended as a hold."""
        is_order = order in self.orders

        async def work(guard: FlashGuard) -> Any:
            outcome = await self._confirm(order)(guard)
            if is_order and isinstance(outcome, Refused) and outcome.code in NO_ORDER:
                self.violations.append(Violation("two outcomes", f"{order} was confirmed, now {outcome}"))
            return outcome

        return work

    def _sell(self, verb: str, customer: str, lines: list[Line], key: str) -> Work:
        """Hold or buy: a key that was used for another basket, or another verb, is refused."""
        asked = (verb, customer, *((line.sku, line.quantity) for line in lines))
        reuses, waits = self._rng.random() < self._reuses, self._rng.random() < self._waits
        pauses = [self._rng.choice(PRESSES_SECONDS) * self._rng.random() for _ in range(3)]

        async def work(guard: FlashGuard) -> Any:
            sell = guard.buy if verb == "buy" else guard.reserve
            outcome = await sell(CROWD, customer, lines, key=key)
            for pause in pauses:
                if not isinstance(outcome, Refused) or outcome.code is not Code.LEDGER_REFUSED:
                    break
                await asyncio.sleep(pause)
                outcome = await sell(CROWD, customer, lines, key=key)
            if isinstance(outcome, Granted):
                id_ = outcome.reservation.id
                self._compare(id_, key, asked)
                more = [Line(sku=lines[0].sku, quantity=lines[0].quantity + 1)]
                again = await sell(CROWD, customer, more, key=key) if reuses else None
                if isinstance(again, Granted) and not self._forgets():
                    what = f"{key} got {id_} for {asked}, then for {more}"
                    self.violations.append(Violation("two outcomes", what))
            if waits and isinstance(outcome, Refused) and outcome.code == "sold-out":
                sku, units = lines[0].sku, lines[0].quantity
                return await guard.waiting.join(CROWD, customer, sku, units, key=f"{key}-waits")
            return outcome

        return work

    def _batch(self) -> Work:
        """Hold or buy for several customers in one call: their holds share a deadline in memory."""
        verb = self._rng.choice(["hold", "hold", "buy"])
        requests = [
            BasketRequest(self._customer(), self._lines(), self._key())
            for _ in range(self._rng.choice([2, 4]))
        ]

        async def work(guard: FlashGuard) -> Any:
            sell = guard.batch.buy if verb == "buy" else guard.batch.reserve
            outcomes = await sell(CROWD, requests)
            for each, outcome in zip(requests, outcomes, strict=True):
                if isinstance(outcome, Granted):
                    asked = (verb, each.customer, *((line.sku, line.quantity) for line in each.lines))
                    self._compare(outcome.reservation.id, str(each.key), asked)
            return outcomes

        return work

    def _compare(self, id_: str, key: str, asked: tuple[Any, ...]) -> None:
        """Check that a key that leads to this reservation was used for this request first."""
        was_order = id_ in self.orders
        first = self._asked.setdefault(id_, asked)
        if first != asked and (not self._forgets() or (was_order and asked[0] == "buy")):
            what = f"{key} got {id_} for {asked}, first for {first}"
            self.violations.append(Violation("two outcomes", what))

    def _extend(self, hold: str, key: str) -> Work:
        """Extend a hold, or do so again: a key that has extended it changes its end no more."""
        pause = self._rng.choice([0.0, 0.02, 0.3])

        async def work(guard: FlashGuard) -> Any:
            outcome = await guard.extend(hold, key=key)
            if isinstance(outcome, Granted):
                self._ends.setdefault((hold, key), outcome.reservation.expires_at)
                await asyncio.sleep(pause)
                outcome = await guard.extend(hold, key=key)
            if isinstance(outcome, Granted):
                end = outcome.reservation.expires_at
                first = self._ends.setdefault((hold, key), end)
                if first != end and not self._forgets():
                    what = f"{key} extended {hold} to {first}, then to {end}"
                    self.violations.append(Violation("two outcomes", what))
            return outcome

        return work

    def _read(self, outcome: Any) -> None:
        if isinstance(outcome, list):
            for each in outcome:
                self._read(each)
            return
        if isinstance(outcome, tuple):
            outcome = outcome[0]
        self.words[getattr(outcome, "code", type(outcome).__name__)] += 1
        if not isinstance(outcome, Granted):
            if hasattr(outcome, "place"):
                self._entries.append(outcome.id)
                self._holds.append((outcome.id, None))  # what it is offered has this id
            return
        seen = outcome.reservation
        if seen.status == "held":
            self._holds.append((seen.id, seen.receipt))
        elif seen.status == "confirmed":
            self.orders.setdefault(seen.id)
        self._promised(seen.id, seen.status)

    def _customer(self) -> str:
        greedy = self._rng.random() < self._greed
        return f"c{0 if greedy else self._rng.randrange(self._customers)}"

    def _key(self) -> str:
        """Return a new key, or one that was used before."""
        if self._rng.random() >= self._reuses:
            self._keys.append(f"key-{len(self._keys)}")
            return self._keys[-1]
        return self._rng.choice(self._keys[-self._rng.choice([4, 80]) :])

    def _hold(self) -> tuple[str, str | None]:
        """Return one of the newest holds and its receipt, or one that may have ended long ago."""
        newest = self._holds[-self._rng.choice([8, 8, 80]) :]
        return self._rng.choice(newest) if newest else (f"{CROWD}.{'0' * 24}", None)

    def _order(self) -> str:
        newest = [*self.orders][-self._rng.choice([3, 80]) :]
        return self._rng.choice(newest) if newest else self._hold()[0]

    def _lines(self) -> list[Line]:
        skus = self._rng.choice([SKUS, SKUS[:1], SKUS[1:]])
        return [Line(sku=sku, quantity=self._rng.randint(1, 2)) for sku in skus]

    @property
    def _buyers(self) -> list[Callable[[], Work]]:
        rng = self._rng
        customer, lines, key, (hold, receipt) = (
            self._customer(),
            self._lines(),
            self._key(),
            self._hold(),
        )
        sku, units = rng.choice(SKUS), rng.randint(1, 3)
        entry = rng.choice(self._entries) if self._entries else f"{CROWD}.{'0' * 24}"
        shown = receipt if rng.random() < 0.5 else None
        return [
            lambda: self._sell("hold", customer, lines, key),
            lambda: self._sell("hold", customer, lines, key),
            lambda: self._sell("buy", customer, lines, key),
            lambda: past_the_room(customer, rng, self.violations.append),
            lambda: self._confirm(hold, shown),
            lambda: self._confirm(hold, receipt),
            lambda: lambda guard: guard.release(hold),
            lambda: self._extend(hold, key),
            lambda: self._extend(hold, key),
            lambda: lambda guard: guard.amend(hold, lines, key=key),
            lambda: lambda guard: guard.transfer(hold, customer, key=key),
            lambda: lambda guard: guard.reservation(hold),
            lambda: lambda guard: guard.waiting.join(CROWD, customer, sku, units, key=key),
            lambda: lambda guard: guard.waiting.join(CROWD, customer, sku, 1, key=key),
            lambda: lambda guard: guard.waiting.leave(entry),
            lambda: lambda guard: guard.waiting.see(entry),
            self._batch,
        ]

    @property
    def _shops(self) -> list[Callable[[], Work]]:
        rng = self._rng
        order, lines, key, sku = self._order(), self._lines(), self._key(), rng.choice(SKUS)
        restock, units, on_sale = rng.random() < 0.7, rng.choice([-4, -2, -2, 1, 2, 4]), rng.random() < 0.8
        verb, limit, price = (
            rng.choice(["open", "open", "pause"]),
            rng.choice([None, 3, 8]),
            rng.randint(1, 200),
        )
        return [
            lambda: lambda guard: guard.orders.cancel(order, restock=restock, reason="crowd", key=key),
            lambda: (
                lambda guard: guard.orders.cancel(
                    order, restock=restock, reason="crowd", items=lines, key=key
                )
            ),
            lambda: lambda guard: guard.amend(order, lines, restock=restock, key=key),
            lambda: lambda guard: guard.shop.restock(CROWD, sku, units, "crowd", key=key),
            lambda: lambda guard: guard.shop.change(CROWD, verb, key=key),
            lambda: lambda guard: guard.shop.change(CROWD, "open"),
            lambda: (
                lambda guard: guard.shop.change(
                    CROWD,
                    "patch",
                    key=key,
                    **({"hold_seconds": 1} if self.limit else {"limit_per_customer": limit}),
                )
            ),
            lambda: (
                lambda guard: guard.shop.items.change(CROWD, sku, key=key, price_minor=price, on_sale=on_sale)
            ),
            lambda: lambda guard: guard.shop.sale(CROWD),
        ]
