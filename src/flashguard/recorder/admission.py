"""Admits the buyers of spread sales' waiting rooms, whose tickets are on all shards of the sale, and those of
rooms that several sales share.

A beat has three steps: every shard reports, the first shard grants, every shard lets in. Whatever a step
loses, the kernel admits no ticket twice and not too many: see scripts/admit.lua. Here the tickets are put in
the order of the whole room, and each shard hears of the whole room, for the places that its buyers are told.
The guests of a shared room add their units; one that does not answer adds none.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from flashguard.kernel.room_results import AdmissionsGranted, GuestNow, LetIn, Reported
from flashguard.model import SaleId
from flashguard.model.shards import shard_ids

from .beats import Ask

GuestsOf = Callable[[SaleId], Sequence[SaleId]]
GRANT_SECONDS: Final = 1.0
"""A grant that is older is void: used later, it would hurry the pace."""
FRONT: Final = 256
"""Places of the whole room that its buyers are told exactly: see scripts/admit.lua."""
ADMIT_MOST: Final = 1_000
"""Admissions of a beat: see scripts/lib/room.lua."""


async def beat(ask: Ask, ask_guest: Ask, guests_of: GuestsOf, sale: SaleId, shards: int) -> int:
    """Admit those whose turn it is; return how many.

    Parameters:
        ask: returns a shard's result of the verb ADMIT; None where it does not answer.
        ask_guest: the same, of a guest.
        guests_of: returns the sales that share the room, and their shards.
    """
    ids = shard_ids(sale, shards)
    answers = await asyncio.gather(*(ask(shard, ("report",)) for shard in ids))
    reports = [each if isinstance(each, Reported) else None for each in answers]
    known = [each for each in reports if each is not None]
    guests = await _units_of(ask_guest, guests_of(sale), known, all_known=len(known) == shards)
    began = asyncio.get_running_loop().time()
    front = front_of(reports)
    told = [
        [] if each is None else [each.granted, each.active, each.waiting, each.free, each.held, each.soon]
        for each in reports
    ]
    settled = all(each.settled for each in known)
    elsewhere = sum(each.free + each.soon for each in guests)
    granted = await ask(sale, ("grant", told, front[:ADMIT_MOST], settled, elsewhere))
    if not isinstance(granted, AdmissionsGranted):
        return 0
    fresh = asyncio.get_running_loop().time() - began < GRANT_SECONDS
    rest = front[granted.count :]
    waiting = sum(each.waiting for each in known) - granted.count
    with_units: list[Reported | GuestNow] = [*known, *guests]
    free, held = sum(each.free for each in with_units), sum(each.held for each in with_units)

    async def let_in(number: int, shard: SaleId, report: Reported | None) -> int:
        if report is None:
            return 0
        ever, now = granted.of_shards[2 * number : 2 * number + 2]
        mine = report.waiting - now
        whole = [waiting, mine, granted.active, free, held, granted.full, granted.pace, rest[:FRONT]]
        done = await ask(shard, ("let-in", ever, now if fresh else 0, whole))
        return done.count if isinstance(done, LetIn) else 0

    return sum(await asyncio.gather(*map(let_in, range(shards), ids, reports)))


async def _units_of(
    ask: Ask, guests: Sequence[SaleId], known: Sequence[Reported], *, all_known: bool
) -> list[GuestNow]:
    """Return the units of the guests that answer. They hear whether the room is empty.

    Parameters:
        known: the reports of the room's shards; all_known: of each of them.
    """
    if not guests or not known:
        return []
    empty = all_known and not any(each.waiting or each.active for each in known)
    request = ("units", known[0].session_ms, empty)
    answers = await asyncio.gather(*(ask(guest, request) for guest in guests))
    return [each for each in answers if isinstance(each, GuestNow)]


def front_of(reports: Sequence[Reported | None]) -> list[int]:
    """Return the order of the first places of all shards: for each, the number of its shard. It ends where a
    shard may have a place that it did not report."""
    known = [(number, report) for number, report in enumerate(reports) if report is not None]
    queues = [[(place, number) for place in report.places] for number, report in known]
    ends = [each.places[-1] for _, each in known if each.places and len(each.places) < each.waiting]
    end = min(ends, default=float("inf"))
    merged = (number for place, number in heapq.merge(*queues) if place <= end)
    return list(islice(merged, ADMIT_MOST + FRONT))
