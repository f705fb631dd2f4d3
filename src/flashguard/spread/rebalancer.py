"""Moves units of a spread sale to where its buyers are: one mover per item and process, in rounds.

All who lack units of one item wait for the same round; who comes while it runs waits for the next, as in a
group commit. So a crowd costs as many looks as one buyer does. A round looks at every part, decides for the
waiting in the order of their coming, and moves what they need: from the part that has most, half of what it
has or what is lacking, whichever is more, so that the next buyers there find some too.

`sold-out` is said only after two looks of a round that began after the request came, see
`survey.nothing_hidden`.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final

import asyncpg

from flashguard.engine.decision import DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Refused, SaleId
from flashguard.model.fingerprints import fingerprint
from flashguard.model.shards import LARGEST_STOCK, arrival, shard_ids, transfer_keys

from .survey import View, nothing_hidden, view_of

log = logging.getLogger("flashguard")

PACE_SECONDS: Final = 0.01
"""A round begins at the earliest so long after the one before it: what a sold-out crowd costs has a bound."""
STUCK_SECONDS: Final = 0.5
"""So long units may be on their way before we look ourselves whether their mover died."""
RECOVERING: Final = Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
OVERLOADED: Final = Refused(
    code=Code.OVERLOADED,
    detail="The units that are left are on their way between parts of the sale. Nothing was taken.",
    retry_after_seconds=RETRY_SECONDS,
)


class UnitsRequest:
    """Somebody who lacks so many units at their home part."""

    __slots__ = ("deadline", "done", "home", "units")

    def __init__(self, home: int, units: int, deadline: float) -> None:
        self.home = home
        self.units = units
        self.deadline = deadline
        self.done: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()

    def settle(self, verdict: Refused | None) -> None:
        if not self.done.done():
            self.done.set_result(verdict)


class Rebalancer:
    """The mover of one item of one spread sale in this process.

    Parameters:
        complete: has units arrive whose mover died.
        max_waiting: who comes when so many wait is refused at once.
    """

    def __init__(
        self,
        decisions: Decisions,
        ledger: Ledger,
        sale: SaleId,
        spread: int,
        sku: str,
        *,
        complete: Callable[[], Awaitable[object]],
        max_waiting: int,
    ) -> None:
        self._decisions = decisions
        self._ledger = ledger
        self._sale = sale
        self._parts = shard_ids(sale, spread)
        self._sku = sku
        self._complete = complete
        self._max_waiting = max_waiting
        self._waiting: list[UnitsRequest] = []
        self._runner: asyncio.Task[None] | None = None
        self._stuck_since: float | None = None

    @property
    def idle(self) -> bool:
        return self._runner is None

    async def bring(self, home: int, units: int, deadline: float) -> Refused | None:
        """Waits until so many units may be had at this part: None, then ask there again; or why not.

        Parameters:
            deadline: by the loop's clock.
        """
        if len(self._waiting) >= self._max_waiting:
            return OVERLOADED
        request = UnitsRequest(home, units, deadline)
        self._waiting.append(request)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return await request.done

    async def drain(self) -> None:
        """Waits until nobody waits."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        batch: list[UnitsRequest] = []
        try:
            while self._waiting:
                began = loop.time()
                batch, self._waiting = self._waiting, []
                try:
                    await self._round(batch)
                except (MemoryAway, LedgerAway, TimeoutError, asyncpg.PostgresError) as error:
                    log.info("units of %s/%s: %s", self._sale, self._sku, error)
                    _settle(batch, RECOVERING)
                _settle([request for request in batch if request.deadline <= loop.time()], OVERLOADED)
                self._waiting[:0] = [request for request in batch if not request.done.done()]
                batch = []
                await asyncio.sleep(began + PACE_SECONDS - loop.time())
        except Exception:
            log.exception("moving units of %s/%s", self._sale, self._sku)
        finally:
            self._runner = None
            _settle([*batch, *self._waiting], OVERLOADED)
            self._waiting.clear()

    async def _round(self, batch: Sequence[UnitsRequest]) -> None:
        """Settles those of whom it is sure; the others wait for the next round."""
        first = await self._look()
        lacking = [request for request in batch if request.units > first.total]
        if lacking:
            await self._refuse(lacking, first)
        await self._serve([request for request in batch if not request.done.done()], first)

    async def _look(self) -> View:
        ask = self._decisions.ask
        return view_of(await asyncio.gather(*(ask(Verb.SURVEY, part, (self._sku,)) for part in self._parts)))

    async def _refuse(self, lacking: Sequence[UnitsRequest], first: View) -> None:
        """Says sold-out to those for whom there are not enough units, where that is certain."""
        second = await self._look()
        if first.refused or second.refused:
            _settle(lacking, first.refused or second.refused)
        elif nothing_hidden(first, second):
            self._stuck_since = None
            sold_out = Refused(code=Code.SOLD_OUT, sku=self._sku, available=second.total)
            _settle([request for request in lacking if request.units > second.total], sold_out)
        elif second.in_transit:
            now = asyncio.get_running_loop().time()
            if self._stuck_since is None:
                self._stuck_since = now
            elif now - self._stuck_since > STUCK_SECONDS:
                self._stuck_since = now
                await self._complete()

    async def _serve(self, batch: Sequence[UnitsRequest], view: View) -> None:
        """Moves what these need, as far as there is enough for them all together, first come first served."""
        left, needed, served = view.total, [0] * len(self._parts), []
        for request in batch:
            if request.units <= left:
                left -= request.units
                needed[request.home] += request.units
                served.append(request)
        moves = plan(list(view.available), needed)
        moved = await asyncio.gather(*(self._move(*move) for move in moves))
        short = {home for (_, home, _), arrived in zip(moves, moved, strict=True) if not arrived}
        _settle([request for request in served if request.home not in short], None)

    async def _move(self, donor: int, home: int, units: int) -> bool:
        """One transfer: units leave, that is committed, and only then they arrive. Whether they did."""
        id_, giving, taking = secrets.token_hex(12), self._parts[donor], self._parts[home]
        out, _ = transfer_keys(id_)
        body = fingerprint("transfer", id_, self._sku, units, giving, taking)
        left = await self._decisions.ask(
            Verb.RESTOCK,
            giving,
            (self._sku, -units, taking, out, body, LARGEST_STOCK),
            durable=lambda result: result[:2] == ["restocked", False],
        )
        if refused_by_status(left) or left.result[0] != "restocked":
            return False
        if not await self._ledger.sales.has_restock(giving, out):
            return False  # memory granted what the ledger refused
        there = await self._decisions.ask(Verb.RESTOCK, taking, arrival(self._sku, units, giving, id_, body))
        return there.status is DecisionStatus.DECIDED and there.result[0] == "restocked"


def plan(available: list[int], needed: Sequence[int]) -> list[tuple[int, int, int]]:
    """Which part gives how many units to which: (donor, receiver, units). There are enough for all."""
    spare = [units - min(units, need) for units, need in zip(available, needed, strict=True)]
    moves: list[tuple[int, int, int]] = []
    for home, need in enumerate(needed):
        lack = need - available[home]
        while lack > 0:
            donor = max(range(len(spare)), key=spare.__getitem__)
            units = min(spare[donor], max(lack, spare[donor] // 2))
            if units <= 0:
                raise AssertionError("more was promised than there is")
            moves.append((donor, home, units))
            spare[donor] -= units
            lack -= units
    return moves


def _settle(requests: Sequence[UnitsRequest], verdict: Refused | None) -> None:
    for request in requests:
        request.settle(verdict)
