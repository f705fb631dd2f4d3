"""A sale behind a waiting room, and those who stand in it: the room keeps its pace, and lets each in once."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from flashguard import FlashGuard
from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import (
    CustomerId,
    Granted,
    Item,
    Line,
    Refused,
    RoomMode,
    SaleId,
    Sku,
    WaitingRoom,
    partition_of,
)
from flashguard.model.names import MinorUnits
from flashguard.shop.new_sale import NewSale
from flashguard.waiting.place import Place
from tests.campaign.checker import Violation
from tests.campaign.room_watch import Sample, let_in_twice, pace_broken, too_many_inside
from tests.simulation.crowd_sales import DOOR
from tests.simulation.processes import Api, NoAnswer, ServerError
from tests.simulation.valkey import Valkey

GATE: Final = SaleId("gate")
SKU: Final = Sku("a")
POLLS_MOST: Final = 8
PATIENCE_SECONDS: Final = 2.0
READ_ROOM: Final = """
return {redis.call('HGET', KEYS[1], 'admitted') or '0', redis.call('ZCOUNT', KEYS[2], ARGV[1], '+inf'),
  redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('ZRANGE', KEYS[3], 0, -1)}
"""


class Gate:
    """The room's buyers, and what is seen of the room.

    Parameters:
        promised: called with a reservation's id and status when that was answered.
    """

    def __init__(
        self, apis: list[Api], rng: random.Random, promised: Callable[[str, str], None], partitions: int
    ) -> None:
        self._apis, self._rng, self._promised = apis, rng, promised
        self.size = rng.choice([0, 0, 6])
        """How many ask at the same time; 0: no such sale is made."""
        self.rate = rng.choice([2.0, 5.0, 10.0])
        self.most = rng.choice([3, 12])
        self.closing = False
        self._samples: list[Sample] = []
        self._count = 0
        self._pause = rng.choice([0.05, 0.3])
        self._room = keys.room(partition_of(GATE, partitions), GATE)

    def sale(self) -> NewSale:
        """Return the sale: plenty of units, behind a room that admits few."""
        mode = self._rng.choice([RoomMode.FIFO, RoomMode.LOTTERY])
        room = WaitingRoom(mode=mode, admit_per_second=self.rate, max_active=self.most, session_seconds=60)
        item = Item(sku=SKU, name="a", price_minor=MinorUnits(100), currency="EUR", stock=100)
        return NewSale(name="Gate", id=GATE, hold_seconds=1, items=(item,), waiting_room=room)

    async def run(self) -> None:
        """Send one buyer after another until `closing`."""
        await asyncio.gather(*(self._one() for _ in range(self.size)))

    async def _one(self) -> None:
        while not self.closing:
            self._count += 1
            await self._visit(CustomerId(f"g{self._count}"))
            await asyncio.sleep(self._rng.random() * 2 * self._pause)

    async def _visit(self, customer: CustomerId) -> None:
        """Stand in the room; once admitted, hold or buy, and mostly leave the place to others."""
        place = await self._call(lambda guard: guard.rooms.issue(GATE, customer))
        place = place[0] if isinstance(place, tuple) else place
        for _ in range(POLLS_MOST):
            if not isinstance(place, Place) or place.admission or self.closing:
                break
            await asyncio.sleep(self._rng.random() * 4 * self._pause)
            place = await self._call(partial(_poll, place.id)) or place
        if not isinstance(place, Place):
            return
        if place.admission and self._rng.random() < 0.7:
            await self._call(self._sell(customer, place.admission))
        if self._rng.random() < 0.7:
            await self._call(partial(_leave, place.id))

    def _sell(self, customer: str, admission: str) -> Callable[[FlashGuard], Any]:
        buys, key = self._rng.random() < 0.5, f"gate-{customer}"

        async def work(guard: FlashGuard) -> Any:
            until = guard.rooms.admitted_until(GATE, customer, admission)
            sell = guard.buy if buys else guard.reserve
            return await sell(GATE, customer, [Line(sku=SKU, quantity=1)], key=key, admitted_until=until)

        return work

    async def _call(self, work: Callable[[FlashGuard], Any]) -> Any:
        with contextlib.suppress(NoAnswer, MemoryAway, LedgerAway, ServerError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcome = await self._rng.choice(self._apis).call(work)
            if isinstance(outcome, Granted):
                self._promised(outcome.reservation.id, outcome.reservation.status)
            return None if isinstance(outcome, Refused) else outcome
        return None

    def sample(self, server: Valkey, now: float, now_ms: float) -> None:
        """Note how many were admitted so far, and who is in."""
        names = self._room.room, self._room.active, self._room.waiting
        admitted, inside, active, waiting = server.ask("EVAL", READ_ROOM, 3, *names, f"({now_ms}")
        twice = tuple(sorted(ticket.decode() for ticket in {*active} & {*waiting}))
        self._samples.append(Sample(now, now, (int(admitted),), int(inside), twice))

    def violations(self) -> Iterator[Violation]:
        """Yield how the room broke its rules, where memory has lost nothing."""
        for what in pace_broken(self._samples, self.rate, grants=False):
            yield Violation("pace", what)
        for what in (*too_many_inside(self._samples, self.most), *let_in_twice(self._samples)):
            yield Violation("room", what)


def past_the_room(
    customer: str, rng: random.Random, note: Callable[[Violation], None]
) -> Callable[[FlashGuard], Any]:
    """Hold or buy without an admission, or with one that is over."""
    verb, until = rng.choice(["hold", "buy"]), rng.choice([0, 1])

    async def work(guard: FlashGuard) -> Any:
        sell = guard.buy if verb == "buy" else guard.reserve
        outcome = await sell(DOOR, customer, [Line(sku=SKU, quantity=1)], admitted_until=until)
        if isinstance(outcome, Granted):
            note(Violation("past the room", f"{customer} was not admitted: {outcome}"))

    return work


async def _poll(ticket: str, guard: FlashGuard) -> Any:
    return await guard.rooms.poll(GATE, ticket)


async def _leave(ticket: str, guard: FlashGuard) -> Any:
    return await guard.rooms.leave(GATE, ticket)
