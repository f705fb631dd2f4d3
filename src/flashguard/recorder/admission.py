"""Admits the buyers of spread sales' waiting rooms, whose tickets are on all shards of the sale.

A beat has three steps: every shard reports, the first shard grants, every shard lets in. Whatever a step
loses, the kernel admits no ticket twice and not too many: see scripts/admit.lua. Here the tickets are put in
the order of the whole room, and each shard hears of the whole room, for the places that its buyers are told.
"""

import asyncio
import heapq
from collections.abc import Sequence
from itertools import islice
from typing import Final

from flashguard.kernel.room_results import AdmissionsGranted, LetIn, Reported
from flashguard.model import SaleId
from flashguard.model.shards import shard_ids

from .beats import Ask

GRANT_SECONDS: Final = 1.0
"""A grant that is older is void: used later, it would hurry the pace."""
FRONT: Final = 256
"""Places of the whole room that its buyers are told exactly: see scripts/admit.lua."""
ADMIT_MOST: Final = 1_000
"""Admissions of a beat: see scripts/lib/room.lua."""


async def beat(ask: Ask, sale: SaleId, shards: int) -> int:
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
