"""Moves units of a spread sale to the shards that need them: one rebalancer per item and process, in rounds.

All requests for an item share a round; a request that arrives during a round waits for the next one, as in a
group commit. So a crowd costs as many surveys as one buyer. A round surveys every shard, serves the requests
in the order of their arrival, and moves the units they need: from the shard with the most units, half of them
or the shortage, whichever is more, so that the next buyers at the receiver find units too.

A request is answered `sold-out` only after two surveys in a round that began after the request arrived: see
`survey.nothing_hidden`.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final

import asyncpg

from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, newly_done, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.results import Restocked
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Refused, SaleId
from flashguard.model.fingerprints import fingerprint
from flashguard.model.shards import arrival, departure, plan, shard_ids, transfer_keys

from .survey import Survey, nothing_hidden, survey_of

log = logging.getLogger("flashguard")

PACE_SECONDS: Final = 0.01
"""Shortest time between the starts of two rounds: it bounds the cost of a crowd at a sold-out sale."""
STUCK_SECONDS: Final = 0.5
"""Time for which units may be in transit before this process completes the transfer: its own may have
died."""
RECOVERING: Final = Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
OVERLOADED: Final = Refused(
    code=Code.OVERLOADED,
    detail="The remaining units are in transit between shards of the sale. Nothing was reserved.",
    retry_after_seconds=RETRY_SECONDS,
)


class UnitsRequest:
    """A request for a number of units at a home shard."""

    __slots__ = ("deadline", "home", "settled", "units")

    def __init__(self, home: int, units: int, deadline: float) -> None:
        self.home = home
        self.units = units
        self.deadline = deadline
        self.settled: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()

    def settle(self, refusal: Refused | None) -> None:
        """Wake the waiter: with None to ask its shard again, or with the refusal of its request."""
        if not self.settled.done():
            self.settled.set_result(refusal)


class Rebalancer:
    """The rebalancer of one item of one spread sale in this process.

    Parameters:
        complete: completes transfers whose process died.
        max_waiting: most waiting requests; further ones are refused immediately.
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
        self._shards = shard_ids(sale, spread)
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
        """Wait until this number of units is probably available at the home shard: None, and the caller asks
        the shard again. Otherwise the refusal of the request.

        Parameters:
            home: the shard's number.
            deadline: by the event loop's clock.
        """
        if len(self._waiting) >= self._max_waiting:
            return OVERLOADED
        request = UnitsRequest(home, units, deadline)
        self._waiting.append(request)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return await request.settled

    async def drain(self) -> None:
        """Return when no request is waiting."""
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
                    log.info("cannot move units of %s/%s, callers retry: %s", self._sale, self._sku, error)
                    _settle(batch, RECOVERING)
                _settle([request for request in batch if request.deadline <= loop.time()], OVERLOADED)
                self._waiting[:0] = [request for request in batch if not request.settled.done()]
                batch = []
                await asyncio.sleep(began + PACE_SECONDS - loop.time())
        except Exception:
            log.exception("cannot move units of %s/%s, callers retry", self._sale, self._sku)
        finally:
            self._runner = None
            _settle([*batch, *self._waiting], OVERLOADED)
            self._waiting.clear()

    async def _round(self, batch: Sequence[UnitsRequest]) -> None:
        """Settle the requests whose answer is certain; the others wait for the next round."""
        first = await self._survey()
        unserved = [request for request in batch if request.units > first.total]
        if unserved:
            await self._refuse(unserved, first)
        await self._serve([request for request in batch if not request.settled.done()], first)

    async def _survey(self) -> Survey:
        ask = self._decisions.ask
        return survey_of(
            await asyncio.gather(*(ask(Verb.SURVEY, shard, (self._sku,)) for shard in self._shards))
        )

    async def _refuse(self, unserved: Sequence[UnitsRequest], first: Survey) -> None:
        """Settle the requests for more units than there are as sold-out, once that is certain."""
        second = await self._survey()
        if first.refused or second.refused:
            _settle(unserved, first.refused or second.refused)
        elif nothing_hidden(first, second):
            self._stuck_since = None
            sold_out = Refused(code=Code.SOLD_OUT, sku=self._sku, available=second.total)
            _settle([request for request in unserved if request.units > second.total], sold_out)
        elif second.in_transit:
            now = asyncio.get_running_loop().time()
            if self._stuck_since is None:
                self._stuck_since = now
            elif now - self._stuck_since > STUCK_SECONDS:
                self._stuck_since = now
                await self._complete()

    async def _serve(self, batch: Sequence[UnitsRequest], survey: Survey) -> None:
        """Move the units that these requests need, as far as the total suffices, first come first served."""
        left, needed, served = survey.total, [0] * len(self._shards), []
        for request in batch:
            if request.units <= left:
                left -= request.units
                needed[request.home] += request.units
                served.append(request)
        moves = plan(list(survey.available), needed)
        moved = await asyncio.gather(*(self._move(*move) for move in moves))
        failed = {home for (_, home, _), arrived in zip(moves, moved, strict=True) if not arrived}
        _settle([request for request in served if request.home not in failed], None)

    async def _move(self, donor: int, home: int, units: int) -> bool:
        """Transfer units: they leave, the ledger commits that, and only then do they arrive. Return True if
        they arrived."""
        id_, source, target = secrets.token_hex(12), self._shards[donor], self._shards[home]
        out, _ = transfer_keys(id_)
        body = fingerprint("transfer", id_, self._sku, units, source, target)
        left = await self._decisions.ask(
            Verb.RESTOCK,
            source,
            departure(self._sku, units, target, id_, body),
            durable=newly_done,
        )
        if refused_by_status(left) or not isinstance(left.result, Restocked):
            return False
        if not await self._ledger.sales.has_restock(source, out):
            return False  # memory granted the departure and the ledger refused it
        arrived = await self._decisions.ask(
            Verb.RESTOCK, target, arrival(self._sku, units, source, id_, body)
        )
        return isinstance(arrived.result, Restocked)


def _settle(requests: Sequence[UnitsRequest], refusal: Refused | None) -> None:
    for request in requests:
        request.settle(refusal)
