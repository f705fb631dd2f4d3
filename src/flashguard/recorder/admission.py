"""Admits the buyers of spread sales' waiting rooms, whose tickets are on all shards of the sale.

A beat has three steps: every shard reports, the first shard grants, every shard lets in. Whatever a step
loses, the kernel admits no ticket twice and not too many: see scripts/admit.lua. Here the tickets are put in
the order of the whole room, and each shard hears of the whole room, for the places that its buyers are told.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Result, read_result
from flashguard.kernel.room_results import AdmissionsGranted, LetIn, Reported
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId, partition_of
from flashguard.model.shards import shard_ids

log = logging.getLogger("flashguard.recorder")

BEAT_SECONDS: Final = 0.25
SHARD_SECONDS: Final = 1.0
"""A shard that does not report within this time is left out of the beat."""
GRANT_SECONDS: Final = 1.0
"""A grant that is older is void: used later, it would hurry the pace."""
FRONT: Final = 256
"""Places of the whole room that its buyers are told exactly: see scripts/admit.lua."""
ADMIT_MOST: Final = 1_000
"""Admissions of a beat: see scripts/lib/room.lua."""
ROOMS_MOST: Final = 1_000
"""Rooms with a beat at the same time; others have none until one of these ends."""

Ask = Callable[[SaleId, tuple[object, ...]], Awaitable[Result | None]]


class Admission:
    """The beats of the rooms of spread sales whose first shard this process records.

    Parameters:
        partitions: of the installation.
    """

    def __init__(self, kernel: Kernel, partitions: int) -> None:
        self._kernel = kernel
        self._partitions = partitions
        self._rooms: dict[SaleId, int] = {}
        self._tasks: dict[SaleId, asyncio.Task[None]] = {}

    def note(self, sale: SaleId, shards: int) -> None:
        """Remember a sale whose room needs its next beat."""
        if len(self._rooms) < ROOMS_MOST:
            self._rooms[sale] = shards

    async def run(self) -> None:
        """Give the rooms their beats until cancelled. A room waits only for its own shards."""
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                rooms, self._rooms = self._rooms, {}
                for sale, shards in rooms.items():
                    if sale not in self._tasks:
                        task = self._tasks[sale] = asyncio.create_task(self._beat(sale, shards))
                        task.add_done_callback(partial(self._done, sale))
        finally:
            for task in self._tasks.values():
                task.cancel()

    def _done(self, sale: SaleId, _: asyncio.Task[None]) -> None:
        del self._tasks[sale]

    async def _beat(self, sale: SaleId, shards: int) -> None:
        try:
            await beat(sale, shards, self._ask)
        except Exception:
            log.exception("room of sale %s: next try in the next beat", sale)

    async def _ask(self, shard: SaleId, request: tuple[object, ...]) -> Result | None:
        try:
            async with asyncio.timeout(SHARD_SECONDS):
                reply = await self._kernel.run(
                    Verb.ADMIT, partition_of(shard, self._partitions), [shard], [(0, *request)]
                )
        except (MemoryAway, TimeoutError) as error:
            log.debug("room of %s: next try in the next beat: %s", shard, error)
            return None
        return None if reply.status else read_result(Verb.ADMIT, reply.results[0])


async def beat(sale: SaleId, shards: int, ask: Ask) -> int:
    """Admit those whose turn it is; return how many.

    Parameters:
        ask: returns a shard's result of the verb ADMIT; None where it does not answer.
    """
    ids = shard_ids(sale, shards)
    answers = await asyncio.gather(*(ask(shard, ("report",)) for shard in ids))
    reports = [each if isinstance(each, Reported) else None for each in answers]
    began = asyncio.get_running_loop().time()
    front = front_of(reports)
    told = [
        [] if each is None else [each.granted, each.active, each.waiting, each.free, each.held, each.soon]
        for each in reports
    ]
    settled = all(each.settled for each in reports if each is not None)
    granted = await ask(sale, ("grant", told, front[:ADMIT_MOST], settled))
    if not isinstance(granted, AdmissionsGranted):
        return 0
    fresh = asyncio.get_running_loop().time() - began < GRANT_SECONDS
    rest = front[granted.count :]
    known = [each for each in reports if each is not None]
    waiting = sum(each.waiting for each in known) - granted.count
    free, held = sum(each.free for each in known), sum(each.held for each in known)

    async def let_in(number: int, shard: SaleId, report: Reported | None) -> int:
        if report is None:
            return 0
        ever, now = granted.of_shards[2 * number : 2 * number + 2]
        mine = report.waiting - now
        whole = [waiting, mine, granted.active, free, held, granted.full, granted.pace, rest[:FRONT]]
        done = await ask(shard, ("let-in", ever, now if fresh else 0, whole))
        return done.count if isinstance(done, LetIn) else 0

    return sum(await asyncio.gather(*map(let_in, range(shards), ids, reports)))


def front_of(reports: Sequence[Reported | None]) -> list[int]:
    """Return the order of the first places of all shards: for each, the number of its shard. It ends where a
    shard may have a place that it did not report."""
    known = [(number, report) for number, report in enumerate(reports) if report is not None]
    queues = [[(place, number) for place in report.places] for number, report in known]
    ends = [each.places[-1] for _, each in known if each.places and len(each.places) < each.waiting]
    end = min(ends, default=float("inf"))
    merged = (number for place, number in heapq.merge(*queues) if place <= end)
    return list(islice(merged, ADMIT_MOST + FRONT))
