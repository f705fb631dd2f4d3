"""Buyers who pay: in some runs a sale of its own, with payments, a provider and a settler.

A buyer holds, begins a payment and pays: at once, at the last moment, when the hold is over, or never.
Meanwhile the hold is extended, amended, released, confirmed without a payment, or paid at a second provider;
an order is amended or cancelled. In the end each payment that took money is one order, or all of its money
went back.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from flashguard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import CustomerId, Granted, Item, Line, Payment, Refused, Reservation, SaleId, Sku
from flashguard.model.names import MinorUnits
from flashguard.payments import Event, Payments
from flashguard.shop.new_sale import NewSale
from tests.campaign.checker import Violation
from tests.campaign.history import RETRY
from tests.campaign.mixed_payments_check import PRICE_MINOR, Lines
from tests.campaign.mixed_verbs import Asked
from tests.simulation.faults import Fault, kill_api
from tests.simulation.processes import Api, NoAnswer, ServerError
from tests.simulation.provider import NAMES, SIGNATURE, Bank, Card
from tests.simulation.settlers import hang_provider, kill_settler
from tests.simulation.world import World

PAID: Final = SaleId("paid")
SKUS: Final = (Sku("a"), Sku("b"))
PATIENCE_SECONDS: Final = 12.0
AGAIN_SECONDS: Final = 0.1
TRIES_MOST: Final = 30
TELLS_MOST: Final = 40
"""Attempts to send one event."""
SESSION_SECONDS: Final = 2.6
"""A session is ended about so long after its hold."""
MEANWHILE: Final = (
    (), (), (), (), ("extend",), ("amend",), ("release",), ("confirm",), ("other",), ("other",), ("again",),
)  # fmt: skip
"""What is done with a hold while it is paid."""
BEGUN_AGAIN: Final = ("amend", "other", "again")
AFTERWARDS: Final = ("look", "look", "look", "cancel", "part", "amend")
FAULTS: Final[list[Fault]] = [kill_settler, kill_api, kill_api, hang_provider]
Work = Callable[[FlashGuard], Awaitable[Any]]


class Payers:
    """The buyers of that sale, its operator, and the provider's events.

    Parameters:
        promised: called with a reservation's id and `confirmed` or `cancelled` when that was answered.
        is_possible: whether payments can be judged in this run.
    """

    def __init__(
        self, world: World, apis: list[Api], rng: random.Random, promised: Callable[[str, str], None],
        *, is_possible: bool,
    ) -> None:  # fmt: skip
        self.size = rng.choice([0, 0, 2, 5]) if is_possible else 0
        """How many come at the same time; 0: no such sale is made."""
        self.settlers = rng.choice([1, 1, 2]) if self.size else 0
        most = rng.choice([0, 1, 2, 4]) if self.size else 0
        self.faults: list[Fault] = [rng.choice(FAULTS) for _ in range(most)]
        self.later_faults: list[Fault] = [kill_settler] * (rng.choice([0, 1, 3, 5]) if self.size else 0)
        """Those that also come when the shop has closed, and its last buyers pay."""
        self._apis, self._rng, self._promised = apis, rng, promised
        self.world, self.bank = world, Bank(world, rng, self._tell)
        Card.bank = self.bank
        self.closing = False
        self.asked: list[Asked] = []
        self._found: list[Violation] = []
        self.told: dict[str, str] = {}
        """What a buyer was told last of a payment, by its id."""
        self._pause = rng.choice([0.1, 0.3])
        self._never = rng.choice([0.0, 0.1, 0.5])
        """How likely a buyer never pays."""
        self._late = rng.choice([0.1, 0.5, 0.9])
        """How likely a buyer pays when the hold is over."""
        self._unsent = rng.choice([0.0, 0.3, 0.7])
        """How likely an event never comes."""
        self._twice = rng.choice([0.0, 0.3])
        self._tell_seconds = rng.choice([0.05, 0.5, 4.0])
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._coming = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def sale(self) -> NewSale:
        """Return the sale."""
        rng = self._rng
        items = tuple(
            Item(
                sku=sku, name=sku, price_minor=MinorUnits(PRICE_MINOR), currency="EUR",
                stock=rng.choice([1, 3, 20]),
            )
            for sku in SKUS
        )  # fmt: skip
        return NewSale(
            name="Paid", id=PAID, hold_seconds=rng.choice([1, 1, 2]), items=items,
            spread=rng.choice([1, 1, 2]),
        )  # fmt: skip

    async def run(self) -> None:
        """Send one buyer after another until `closing`, and let all of them finish."""
        if not self.size:
            return
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._buyers(number) for number in range(self.size)), self._restocks())
        while self.is_busy:  # some of them begin others
            await asyncio.sleep(AGAIN_SECONDS)

    async def _buyers(self, number: int) -> None:
        rng, count = self._rng, 0
        while not self.closing:
            await asyncio.sleep(rng.random() * 2 * self._pause)
            count += 1
            hold = await self._hold(CustomerId(f"p{number}-{count}"), self._lines())
            if isinstance(hold, Granted) and hold.reservation.status == "held":
                self._later(self._buys(hold.reservation))

    async def _hold(self, customer: CustomerId, lines: Lines) -> Any:
        def work(guard: FlashGuard) -> Awaitable[Any]:
            return guard.reserve(PAID, customer, _basket(lines), key=customer)

        return await self._insist("hold", customer, lines, work)

    async def _restocks(self) -> None:
        rng, count = self._rng, 0
        while not self.closing:
            await asyncio.sleep(rng.random())
            count += 1
            await self._restock(rng.choice(SKUS), rng.choice([1, 1, 3]), f"more-{count}")

    async def _restock(self, sku: Sku, units: int, key: str) -> None:
        await self._try(lambda guard: guard.shop.restock(PAID, sku, units, "more", key=key))

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._tasks[task]
        if not task.cancelled() and task.exception() is not None:
            self._found.append(Violation("payment never ends", repr(task.exception())))

    async def _buys(self, hold: Reservation) -> None:
        """Pay for a hold, in one of the ways that there are."""
        rng, name = self._rng, self._rng.choice(NAMES)
        payments = [await self._begin(hold.id, name)]
        for habit in rng.choice(MEANWHILE) if payments[0] else ():
            await self._meanwhile(hold.id, habit)
            if habit in BEGUN_AGAIN:
                payments.append(await self._begin(hold.id, rng.choice(NAMES) if habit == "other" else name))
        begun = [payment for payment in payments if payment]
        if not begun or rng.random() < self._never:
            return
        end = hold.expires_at.timestamp() if hold.expires_at else 0.0
        left = max(0.0, end - time.time())
        late = left + SESSION_SECONDS * rng.random()
        await asyncio.sleep(late if rng.random() < self._late else left * rng.choice([0.0, rng.random()]))
        self.bank.pay(rng.choice(begun))
        if rng.random() < 0.1:
            self.bank.pay(rng.choice(begun))
        await self._waits(hold.id, rng.choice(begun))

    async def _meanwhile(self, hold: str, habit: str) -> None:
        """Do this with a hold that is being paid."""
        key, lines = f"{hold}-{habit}", self._lines()
        works: dict[str, Work] = {
            "extend": lambda guard: guard.extend(hold, key=key),
            "amend": lambda guard: guard.amend(hold, _basket(lines), key=key),
            "release": lambda guard: guard.release(hold),
            "confirm": lambda guard: guard.confirm(hold),
        }
        if habit in works:
            await self._insist(habit, hold, lines, works[habit])

    async def _begin(self, hold: str, name: str) -> str | None:
        """Return the id of the hold's payment; None where it can't be paid."""
        for _ in range(TRIES_MOST):
            payment = await self._ask(lambda payments: payments.begin(hold, name))
            if isinstance(payment, Payment):
                return payment.id
            if isinstance(payment, Refused) and payment.code not in (*RETRY, "provider-away"):
                return None
            await asyncio.sleep(AGAIN_SECONDS)
        return None

    async def _waits(self, hold: str, payment: str) -> None:
        """Look now and then what became of a payment; an order of it may change afterwards."""
        rng = self._rng
        for _ in range(rng.choice([0, 3, 10])):
            await asyncio.sleep(rng.random())
            if self.closing:
                return
            seen = await self._ask(lambda payments: payments.get(payment))
            if not isinstance(seen, Payment):
                continue
            self.told[payment] = seen.status
            if seen.status == "order":
                self._promised(hold, "confirmed")
                await self._changes(hold)
                return

    async def _changes(self, order: str) -> None:
        rng, lines, restock = self._rng, self._lines(), self._rng.random() < 0.7
        habit = rng.choice(AFTERWARDS)
        if habit == "look":
            return
        await asyncio.sleep(rng.random())
        key, some = f"{order}-{habit}", _basket(lines[:1])

        def cancel(guard: FlashGuard) -> Awaitable[Any]:
            items = some if habit == "part" else None
            return guard.orders.cancel(order, restock=restock, reason="unwanted", items=items, key=key)

        def amend(guard: FlashGuard) -> Awaitable[Any]:
            return guard.amend(order, _basket(lines), restock=restock, key=key)

        done = await self._insist(habit, order, lines, amend if habit == "amend" else cancel)
        if isinstance(done, Granted) and habit == "cancel":
            self._promised(order, "cancelled")

    async def _insist(self, verb: str, about: str, lines: Lines, work: Work) -> Any:
        """Return the answer, asked for again and again; None: there was none. Note what was asked."""
        asked, outcome = Asked(verb, PAID, "", lines=lines, about=about), None
        self.asked.append(asked)
        for _ in range(TRIES_MOST):
            outcome = await self._try(work)
            if isinstance(outcome, Granted):
                asked.word, asked.id = str(outcome.reservation.status), outcome.reservation.id
            elif isinstance(outcome, Refused):
                asked.word = str(outcome.code)
            if outcome is not None and asked.word not in RETRY:
                return outcome
            await asyncio.sleep(AGAIN_SECONDS)
        return outcome

    async def _ask(self, work: Callable[[Payments], Awaitable[Any]]) -> Any:
        """Have the payments of a process do this; return the answer, None where there is none."""
        api = self._rng.choice(self._apis)

        async def call(_: FlashGuard) -> Any:
            assert api.payments is not None
            return await work(api.payments)

        return await self._try(call, api)

    async def _try(self, work: Work, api: Api | None = None) -> Any:
        with contextlib.suppress(NoAnswer, MemoryAway, LedgerAway, ServerError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await (api or self._rng.choice(self._apis)).call(work)
        return None

    def _lines(self) -> Lines:
        skus = self._rng.choice([SKUS, SKUS[:1], SKUS[:1], SKUS[1:]])
        return tuple((sku, self._rng.choice([1, 1, 2])) for sku in skus)

    # What the provider tells

    def _tell(self, event: Event, must: bool) -> None:
        if not must and self._rng.random() < self._unsent:
            return
        assert self._loop is not None
        for _ in range(2 if self._rng.random() < self._twice else 1):
            self._coming += 1
            self._loop.call_soon(self._come, event)

    def _come(self, event: Event) -> None:
        self._coming -= 1
        self._later(self._sends(event))

    async def _sends(self, event: Event) -> None:
        """Send an event as providers do: again until it is taken."""
        rng, body = self._rng, msgspec.json.encode(event)
        name = self.bank.sessions[event.payment].provider
        await asyncio.sleep(self._tell_seconds * rng.random() ** 2)
        for _ in range(TELLS_MOST):
            taken = await self._ask(lambda payments: payments.take(name, SIGNATURE, body))
            if isinstance(taken, bool):
                return
            await asyncio.sleep(0.2 + rng.random())
        self._found.append(Violation("payment never ends", f"an event is never taken: {event}"))

    async def retry_refunds(self, payment: str) -> None:
        """Ask for a payment's refunds again, as an operator does."""
        await self._ask(lambda payments: payments.retry_refunds(payment))

    def violations(self) -> list[Violation]:
        """Return what the provider and its buyers found broken."""
        return [*self.bank.violations, *self._found]

    @property
    def is_busy(self) -> bool:
        """Whether a buyer still pays, or an event or money is on its way."""
        return bool(self._tasks) or self._coming + self.bank.under_way > 0


def _basket(lines: Lines) -> list[Line]:
    return [Line(sku=Sku(sku), quantity=units) for sku, units in lines]
