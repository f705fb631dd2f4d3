"""More buyers of the second sale: each keeps to one hold, extends it, pays late with its receipt, and repeats
at once what was not answered. Keys of the last requests come again, through the other process, for the same
basket or another one.
"""

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import Any, Final

from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import Granted, Line, Refused, Reservation
from tests.campaign.checker import Violation, transfers
from tests.campaign.history import Ledger
from tests.simulation.crowd import Crowd, Work
from tests.simulation.crowd_sales import CROWD
from tests.simulation.invariants import HOLD
from tests.simulation.processes import NoAnswer, ServerError
from tests.simulation.sales import DURABILITIES

AGAIN: Final = ("recovering", "overloaded", "request-in-flight", "ledger-refused")
"""What a buyer repeats at once."""
AT_ONCE_SECONDS: Final = (0.0, 0.0, 0.01, 0.1)
HABITS: Final = (
    ("pay",), ("pay", "pay late"), ("pay late",), ("pay late",), ("extend", "pay late"), (),
    ("extend", "extend", "pay"), ("extend", "wait", "look"), ("extend", "extend", "extend"), ("release",),
    ("release", "pay late"), ("amend", "pay late"), ("look", "wait", "pay late"),
)  # fmt: skip
"""What a buyer does with a hold."""
ENDED: Final = ("reservation-expired", "unknown-reservation")
RECENT: Final = 30
REST_SECONDS: Final = 0.3
"""The rest of a buyer whom no repetition has helped."""


class Visitors(Crowd):
    """The crowd, and these buyers beside it."""

    def _prepare(self) -> None:
        rng = self._rng
        self._visitors = rng.choice([0, 2, 4, 8])
        self._rests = rng.choice([0.01, 0.05, 0.2])
        self._recalls = rng.choice([0.05, 0.2, 0.5])
        """How likely a visit repeats one of the last requests."""
        self._doubles = rng.choice([0.0, 0.1, 0.5])
        """How likely a request that was answered is made once more at once."""
        self.sale = replace(self.sale, hold_durability=rng.choice(DURABILITIES))
        self._recent: deque[tuple[str, str, list[Line], str]] = deque(maxlen=RECENT)

    async def run(self) -> None:
        await asyncio.gather(super().run(), *(self._visits() for _ in range(self._visitors)))
        await asyncio.gather(*self._later)

    def found(self, ledger: Ledger) -> list[Violation]:
        """Return what was broken, with the units that left a shard of the sale and did not arrive."""
        return [*self.violations, *(Violation(*each) for each in transfers(ledger))]

    async def _visits(self) -> None:
        rng = self._rng
        while not self.closing:
            await asyncio.sleep(rng.random() * 2 * self._rests)
            if rng.random() < 0.15 and self.orders:
                await self._ask(self._change(self._order()))
                continue
            if rng.random() < 0.1:
                await self._restock(f"restock-{len(self._keys)}-{rng.randrange(1_000_000)}")
                continue
            if self._recent and rng.random() < self._recalls:
                verb, customer, lines, key = rng.choice(self._recent)
                if rng.random() < 0.3:  # for another basket, or to buy what was held; others repeat that, too
                    verb, lines = rng.choice([(verb, self._lines()), ("buy", lines)])
                    self._recent.append((verb, customer, lines, key))
            else:
                verb = rng.choice(["hold", "hold", "buy"])
                customer, lines = f"c{rng.randrange(self._customers)}", self._lines()
                key = f"visit-{len(self._keys)}"
                self._keys.append(key)
                self._recent.append((verb, customer, lines, key))
            outcome = await self._insist(self._sell(verb, customer, lines, key))
            if isinstance(outcome, Granted) and outcome.reservation.status == "held":
                self._promised(outcome.reservation.id, HOLD)
                await self._keep(outcome.reservation, rng.choice(HABITS))

    async def _restock(self, key: str) -> None:
        """Add or remove units: what is answered is recorded."""
        sku, units = self._lines()[0].sku, self._rng.choice([-1, 1, 1, 2])
        done = await self._insist(lambda guard: guard.shop.restock(CROWD, sku, units, "crowd", key=key))
        if isinstance(done, tuple):
            self._promised(f"{CROWD}.{key}", "restocked")

    async def _keep(self, hold: Reservation, habits: tuple[str, ...]) -> None:
        """Do these with a hold, one after the other."""
        rng, id_, receipt, end = self._rng, hold.id, hold.receipt, _end(hold)
        for habit in habits:
            key = f"{id_}-{rng.random():.6f}"
            match habit:
                case "pay late":
                    await asyncio.sleep(max(0.0, end - time.time()) + rng.choice([0.02, 1.0]) * rng.random())
                    outcome = await self._insist(self._confirm(id_, receipt))
                case "pay":
                    await asyncio.sleep(max(0.0, end - time.time()) * rng.random())
                    outcome = await self._insist(self._confirm(id_))
                case "release":
                    outcome = await self._insist(lambda guard: guard.release(id_))
                case "look":
                    outcome = await self._insist(lambda guard: guard.reservation(id_))
                case "extend":
                    await asyncio.sleep(max(0.0, end - time.time()) * rng.random())
                    outcome = await self._insist(self._extend(id_, key))
                case "amend":
                    lines = self._lines()
                    outcome = await self._insist(
                        lambda guard, li=lines, k=key: guard.amend(id_, li, key=k)  # type: ignore[misc]
                    )
                case _:
                    await asyncio.sleep(rng.random())
                    continue
            if isinstance(outcome, Granted) and outcome.reservation.status == "held":
                end, receipt = _end(outcome.reservation), outcome.reservation.receipt or receipt
            elif isinstance(outcome, Granted) and outcome.reservation.status == "confirmed":
                self._look_later(id_)  # the payment provider repeats its message
            elif isinstance(outcome, Refused) and outcome.code in ENDED:
                self._ended(id_, habit, outcome, end)

    def _ended(self, id_: str, habit: str, outcome: Refused, end: float) -> None:
        """Check that a hold did not end before its time."""
        if time.time() < end and not self._forgets():
            what = f"{id_} was told {outcome.code} on {habit}, it was held until {end}"
            self.violations.append(Violation("lost hold", what))

    async def _insist(self, work: Work) -> Any:
        """Return the answer, after some repetitions; None: there was none."""
        rng, outcome = self._rng, None
        if rng.random() < self._doubles:
            await asyncio.gather(self._ask(work), self._press_again(work))
        for seconds in AT_ONCE_SECONDS:
            outcome = await self._ask(work)
            if outcome is not None and not (isinstance(outcome, Refused) and outcome.code in AGAIN):
                return (await self._ask(work) or outcome) if rng.random() < self._doubles else outcome
            await asyncio.sleep(seconds * rng.random())
        await asyncio.sleep(REST_SECONDS * rng.random())
        return outcome

    async def _press_again(self, work: Work) -> None:
        """Ask the same before, or soon after, the answer."""
        await asyncio.sleep(self._rng.choice([0.002, 0.02, 0.2]) * self._rng.random())
        await self._ask(work)

    async def _ask(self, work: Work) -> Any:
        try:
            outcome = await self._rng.choice(self._apis).call(work)
        except (NoAnswer, MemoryAway, LedgerAway, ServerError):
            return None
        self._read(outcome)
        return outcome


def _end(hold: Reservation) -> float:
    return hold.expires_at.timestamp() if hold.expires_at else 0.0
