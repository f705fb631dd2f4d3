"""Serves the waiting lists of spread sales: their entries, and the units that come back, are on all shards.

Every beat makes rounds until none is left to do. A round learns from every shard what was set aside and who
waits, in the order of the whole sale; it moves units to the home shards of those who come first, and has
each shard offer them. What no entry fits it leaves to the open sale. Whatever a round loses, or two rounds do
at once, the kernel offers no unit twice and forgets none: see scripts/serve_list.lua.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from flashguard.kernel.list_results import Closed, Entries, ListReported, OffersMade
from flashguard.model import SaleId
from flashguard.model.shards import plan, shard_ids

from .beats import Ask, bounded

ROUNDS_MOST: Final = 100
"""Rounds of one beat; the next beat goes on."""
COUNTERS_MOST: Final = 500
"""Items and pools that a shard reports in a round; the next round begins after them."""
ENTRIES_MOST: Final = 500
"""About how many entries of a shard a round reads."""
SERVE_MOST: Final = 50
"""Entries of one script call: see scripts/lib/waiting.lua."""
GROUPS_AT_ONCE: Final = 20

Move = Callable[[str, int, SaleId, SaleId], Awaitable[bool]]
"""Transfers units: the counter, how many, from which shard, to which; returns whether they arrived."""
Versions = Mapping[str, int]


class Waiter(Struct, frozen=True, order=True):
    """An entry that waits. `takes`: units by counter."""

    place: int
    id: str
    shard: int
    quantity: int
    takes: dict[str, int]


class Stock:
    """The free units of a group's counters, as the shards set them aside; `whole`: all of them answered."""

    def __init__(self, answers: Sequence[Closed | None]) -> None:
        self.whole = None not in answers
        self.free: dict[str, list[int]] = {}
        self.unsold: dict[str, int] = {}
        self.versions: list[dict[str, int]] = [{} for _ in answers]
        for shard, answer in enumerate(answers):
            rows = [] if answer is None else answer.rows
            for counter, free, unsold, version in zip(
                rows[::4], rows[1::4], rows[2::4], rows[3::4], strict=True
            ):
                self.free.setdefault(counter, [0] * len(answers))[shard] = free
                self.unsold[counter] = self.unsold.get(counter, 0) + unsold
                self.versions[shard][counter] = version

    @property
    def totals(self) -> dict[str, int]:
        return {counter: sum(units) for counter, units in self.free.items()}


class SharedLists:
    """The waiting lists of spread sales.

    Parameters:
        clock: seconds; it only goes forward.
    """

    def __init__(self, ask: Ask, move: Move, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._move = move
        self._clock = clock
        self._until: dict[tuple[SaleId, str], float] = {}
        """Until when units are set aside for an entry that wants more than are free."""
        self._after: dict[SaleId, str] = {}

    async def serve(self, sale: SaleId, shards: int) -> None:
        """Make rounds until there is nothing left to do."""
        for _ in range(ROUNDS_MOST):
            if not await self.round(sale, shards):
                return

    async def round(self, sale: SaleId, shards: int) -> bool:
        """Serve what the shards report; return whether there may be more to do at once."""
        ids = shard_ids(sale, shards)
        answers = await asyncio.gather(
            *(self._ask(shard, ("report", self._after.get(shard, ""), COUNTERS_MOST)) for shard in ids)
        )
        groups: dict[str, list[dict[str, int]]] = {}
        empty = True
        for number, (shard, answer) in enumerate(zip(ids, answers, strict=True)):
            if not isinstance(answer, ListReported):
                empty = False
                continue
            empty = empty and answer.room_is_empty
            rows = answer.rows
            self._after.pop(shard, None)
            if len(rows) == 3 * COUNTERS_MOST:
                bounded(self._after)[shard] = rows[-2]
            for group, counter, version in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
                groups.setdefault(group, [{} for _ in ids])[number][counter] = version
        more, names = False, sorted(groups)
        for at in range(0, len(names), GROUPS_AT_ONCE):
            some = names[at : at + GROUPS_AT_ONCE]
            done = await asyncio.gather(*(self._serve(ids, group, groups[group], empty) for group in some))
            more = more or any(done)
        return more

    async def _serve(
        self, ids: Sequence[SaleId], group: str, reported: Sequence[Versions], unadmitted: bool
    ) -> bool:
        """Serve one group of counters; return whether another round may serve more.

        Parameters:
            reported: by shard, the versions of the counters when the round began.
        """
        known = await self._entries(ids, group, unadmitted, 1)
        waited_for = {counter for each in first_waiters(known) for counter in each.takes}
        if not waited_for:
            if None not in known:
                waits = any(each.waits for each in known if each is not None)
                await self._settle(ids, reported, forget=not waits)
            return False
        counters = sorted(waited_for.union(*reported))  # those that no entry waits for are settled with them
        newest = max(each.newest for each in known if each is not None)
        answers = await asyncio.gather(*(self._ask(shard, ("close", counters, newest)) for shard in ids))
        stock = Stock([each if isinstance(each, Closed) else None for each in answers])
        clock = (ids[0], group)
        chosen: list[Waiter] = []
        blocked: Waiter | None = None
        if not any(stock.totals.values()):
            self._until.pop(clock, None)
        else:
            known = await self._entries(ids, group, unadmitted, ENTRIES_MOST)
            offer_seconds = max((each.offer_ms for each in known if each is not None), default=0) / 1000
            passing = self._passes(clock, offer_seconds)
            blocks = bool(group) and not passing
            chosen, blocked = choose(
                waiters(known), stock.totals, stock.unsold if stock.whole else {}, blocks
            )
            if blocked is not None:
                bounded(self._until).setdefault(clock, self._clock() + offer_seconds)
        await self._bring(ids, stock, chosen)
        served = await self._offer(ids, [*chosen, *([] if blocked is None else [blocked])], unadmitted)
        if not chosen and blocked is None and stock.whole and None not in known:
            await self._settle(ids, stock.versions, forget=False)
        return served > 0

    def _passes(self, clock: tuple[SaleId, str], offer_seconds: float) -> bool:
        """Return whether entries that want more than are free have had their time: the others have the same
        time then."""
        until, now = self._until.get(clock), self._clock()
        if until is not None and now >= until + offer_seconds:
            del self._until[clock]
            return False
        return until is not None and now >= until

    async def _entries(
        self, ids: Sequence[SaleId], group: str, unadmitted: bool, most: int
    ) -> list[Entries | None]:
        request = ("entries", group, unadmitted, most)
        answers = await asyncio.gather(*(self._ask(shard, request) for shard in ids))
        return [each if isinstance(each, Entries) else None for each in answers]

    async def _bring(self, ids: Sequence[SaleId], stock: Stock, chosen: Sequence[Waiter]) -> None:
        """Move the units of these entries to their home shards."""
        needed: dict[str, list[int]] = {}
        for waiter in chosen:
            for counter, units in waiter.takes.items():
                needed.setdefault(counter, [0] * len(ids))[waiter.shard] += units
        await asyncio.gather(
            *(
                self._move(counter, units, ids[donor], ids[home])
                for counter, units_needed in needed.items()
                for donor, home, units in plan(stock.free[counter], units_needed, exact=True)
            )
        )

    async def _offer(self, ids: Sequence[SaleId], chosen: Sequence[Waiter], unadmitted: bool) -> int:
        """Have each shard offer these entries their units; return how many need no more."""

        async def offer(number: int, shard: SaleId) -> int:
            mine = [each.id for each in chosen if each.shard == number]
            served = 0
            for at in range(0, len(mine), SERVE_MOST):
                answer = await self._ask(shard, ("serve", mine[at : at + SERVE_MOST], unadmitted))
                served += answer.count if isinstance(answer, OffersMade) else 0
            return served

        return sum(await asyncio.gather(*(offer(number, shard) for number, shard in enumerate(ids))))

    async def _settle(self, ids: Sequence[SaleId], versions: Sequence[Versions], *, forget: bool) -> None:
        requests: list[tuple[SaleId, list[Any]]] = [
            (shard, [value for pair in of_shard.items() for value in pair])
            for shard, of_shard in zip(ids, versions, strict=True)
            if of_shard
        ]
        await asyncio.gather(*(self._ask(shard, ("settle", pairs, forget)) for shard, pairs in requests))


def waiters(known: Sequence[Entries | None]) -> list[Waiter]:
    """Return the entries of all shards in the order of the whole sale. It ends where a shard may have more
    than it told of."""
    end = min((each.whole_to for each in known if each is not None and each.whole_to), default=None)
    return sorted(each for each in first_waiters(known) if end is None or each.place <= end)


def first_waiters(known: Sequence[Entries | None]) -> list[Waiter]:
    """Return the entries that the shards told of: the first for each item and quantity among them."""
    found: list[Waiter] = []
    for shard, each in enumerate(known):
        rows = [] if each is None else each.rows
        for place, id_, sku, quantity, takes in zip(*(rows[at::5] for at in range(5)), strict=True):
            flat = takes or [sku, quantity]
            by_counter = dict(zip(flat[::2], flat[1::2], strict=True))
            found.append(Waiter(int(place), id_, shard, quantity, by_counter))
    return found


def choose(
    entries: Sequence[Waiter], free: Mapping[str, int], unsold: Mapping[str, int], blocks: bool
) -> tuple[list[Waiter], Waiter | None]:
    """Return the entries to offer units to, in order, and the one that the rest is set aside for.

    Parameters:
        unsold: units by counter; an entry that wants more is passed over. Unknown ones are many.
        blocks: units are set aside for an entry that wants more than are free; otherwise it is passed over.
    """
    left, chosen = dict(free), []
    for entry in entries:
        takes = entry.takes.items()
        if all(left.get(counter, 0) >= units for counter, units in takes):
            for counter, units in takes:
                left[counter] -= units
            chosen.append(entry)
        elif blocks and any(left.values()) and all(unsold.get(c, units) >= units for c, units in takes):
            return chosen, entry
    return chosen, None
