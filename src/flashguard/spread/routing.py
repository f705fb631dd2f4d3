"""Routes each buyer of a spread sale to the home shard, and brings units there."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, cast

from flashguard.engine.baskets import Basket
from flashguard.engine.decision import Decision, DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.fallback import Fallback
from flashguard.engine.holding import Holding
from flashguard.engine.late_confirm import lines_of
from flashguard.engine.outcomes import RETRY_SECONDS, newly_done
from flashguard.engine.selling import NotHere, Sell, Selling, Shard
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Refusal, SaleNow
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.spread import shards_of
from flashguard.model import (
    Key,
    Line,
    Outcome,
    Refused,
    SaleId,
    Sku,
    public_sale,
    split_reservation_id,
    unknown,
)
from flashguard.model.pools import takes_of
from flashguard.model.shards import home_shard, shard_id, shard_ids, shard_number
from flashguard.recorder.transfers import complete_transfers
from flashguard.settings import Settings

from .rebalancer import OVERLOADED, RECOVERING, Rebalancer
from .recipes import Recipes, of_item

MOST_KNOWN: Final = 4096
"""Most spread sales that a process remembers; a forgotten one is looked up again."""
MOST_TRIES: Final = 50
"""Most times that a request asks its shard again after units arrived: other buyers may be faster."""


class ShardRouter:
    """Stands in front of selling: a request of a spread sale goes to the customer's home shard, and units
    follow it there.

    `known` maps a spread sale to its number of shards, which never changes. A sale that is not in `known` is
    first treated as unspread; the kernel answers with its number of shards if it is spread.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        decisions: Decisions,
        selling: Selling,
        holding: Holding,
        fallback: Fallback,
        settings: Settings,
    ) -> None:
        self.known: dict[SaleId, int] = {}
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions
        self._selling = selling
        self._holding = holding
        self._fallback = fallback
        self._settings = settings
        self._rebalancers: dict[tuple[SaleId, str], Rebalancer] = {}
        self._recipes = Recipes(ledger)

    def note(self, sale: SaleId, shards: int) -> None:
        """Remember a sale's number of shards."""
        self.known.pop(sale, None)
        if shards > 1:
            if len(self.known) >= MOST_KNOWN:
                del self.known[next(iter(self.known))]
            self.known[sale] = shards

    async def shards_of(self, sale: SaleId) -> int:
        """Return a sale's number of shards; 1 also when there is no such sale.

        Raises:
            LedgerAway: the number is not known here, and PostgreSQL does not answer or has no readable one.
        """
        shards = self.known.get(sale)
        if shards is None:
            shards = await shards_of(self._ledger, sale)
            self.note(sale, shards)
        return shards

    async def is_spread(self, sale: SaleId) -> bool:
        """Return True when a sale that was treated as unspread is known to be spread."""
        try:
            return await self.shards_of(sale) > 1
        except LedgerAway:
            return False

    async def sell(self, basket: Basket) -> Outcome:
        """Return the outcome of a hold or of a direct order, whether its sale is spread or not."""
        asked = self.prepare(basket)
        if asked is None:
            return await self._sell_spread(basket)
        decision = await self._decisions.decide(asked)
        return self.outcome(asked, decision) or await self.outcome_elsewhere(asked, decision)

    def prepare(self, basket: Basket) -> Sell | None:
        """Return the request that asks the kernel for a basket; None where the sale is known to be spread,
        and it takes more than one request."""
        return None if basket.sale in self.known else self._selling.prepare(basket)

    def outcome(self, asked: Sell, decision: Decision) -> Outcome | None:
        """Return what the decision on a prepared basket means; None where `outcome_elsewhere` finds it."""
        return self._selling.outcome(asked, decision)

    async def outcome_elsewhere(self, asked: Sell, decision: Decision) -> Outcome:
        """Return what a decision means, by what the ledger, the disk or the sale's shards say."""
        outcome = await self._selling.outcome_elsewhere(asked, decision)
        if not isinstance(outcome, NotHere):
            return outcome
        sale = asked.basket.sale
        if outcome.shards:
            self.note(sale, outcome.shards)
        elif not await self.is_spread(sale):
            return await self._fallback.sale_not_in_memory(sale, outcome.short, outcome.body)
        return await self._sell_spread(asked.basket)

    async def sell_all(self, baskets: Sequence[Basket]) -> list[Outcome]:
        """Return the outcomes of several baskets, in their order. A basket that its batch decides costs no
        task. Of baskets with one key, the later ones find what became of the first."""
        asked = [self.prepare(basket) for basket in baskets]
        decisions = iter(await self._decisions.decide_all([each for each in asked if each is not None]))
        outcomes: list[Outcome | None] = []
        first: list[tuple[int, Coroutine[Any, Any, Outcome]]] = []
        again: list[tuple[int, Coroutine[Any, Any, Outcome]]] = []
        keys: set[Key] = set()
        for place, (basket, each) in enumerate(zip(baskets, asked, strict=True)):
            decision = None if each is None else next(decisions)
            outcome = None if each is None or decision is None else self.outcome(each, decision)
            outcomes.append(outcome)
            if outcome is None:
                elsewhere = self._sell_elsewhere(basket, each, decision)
                (again if basket.key in keys else first).append((place, elsewhere))
                if basket.key is not None:
                    keys.add(basket.key)
        found = await asyncio.gather(*(work for _, work in first))
        for (place, _), outcome in zip(first, found, strict=True):
            outcomes[place] = outcome
        for place, work in again:
            outcomes[place] = await work
        return cast("list[Outcome]", outcomes)

    async def _sell_elsewhere(self, basket: Basket, asked: Sell | None, decision: Decision | None) -> Outcome:
        """Return the outcome of a basket that its batch alone does not decide; a refusal where a server is
        away, so that the others of its call are answered."""
        try:
            if asked is None or decision is None:
                return await self._sell_spread(basket)
            return await self.outcome_elsewhere(asked, decision)
        except (MemoryAway, LedgerAway) as error:
            return Refused(code=Code.RECOVERING, detail=str(error), retry_after_seconds=RETRY_SECONDS)

    async def _sell_spread(self, basket: Basket) -> Outcome:
        """Ask the home shard, and bring units to it for as long as any shard has some."""
        sale, shards = basket.sale, self.known[basket.sale]
        home = home_shard(basket.customer, shards)
        shard = Shard(shard_id(sale, home), shards)
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_TRIES):
            outcome = await self._selling.sell(basket, shard)
            if isinstance(outcome, NotHere):
                self.note(sale, outcome.shards)
                return RECOVERING
            if not isinstance(outcome, Refused) or outcome.code is not Code.SOLD_OUT or outcome.sku is None:
                return outcome
            recipes = {} if outcome.pool is None else await self._recipes.of(sale, basket.lines)
            counter = outcome.pool or outcome.sku
            units = takes_of(basket.lines, recipes).get(counter, 0)
            refused = await self.bring(sale, home, counter, units, deadline)
            if refused is not None:
                return of_item(refused, outcome, recipes)
        return OVERLOADED

    async def confirm(self, id_: str, receipt_text: str | None) -> Outcome:
        """Return the outcome of a confirm. A late confirm with a receipt whose shard has no units left asks
        again for as long as other shards have some."""
        receipt = None if receipt_text is None else self._holding.read_receipt(receipt_text, id_)
        if isinstance(receipt, Refused):
            return receipt
        ids = split_reservation_id(id_)
        if ids is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        shard, short = ids

        async def wanted() -> tuple[Line, ...]:
            return () if receipt is None else lines_of(receipt)

        ask = partial(self._holding.ask_confirm, shard, short, receipt)
        decision = await self.ask_with_units(shard, ask, wanted)
        if isinstance(decision, Refused):
            return decision
        return await self._holding.confirm_outcome(shard, short, decision, receipt)

    async def ask_with_units(
        self,
        shard: SaleId,
        ask: Callable[[], Awaitable[Decision]],
        wanted: Callable[[], Awaitable[Sequence[Line]]],
    ) -> Decision | Refused:
        """Return the decision on a request about a reservation, which stays on its shard. Where the shard is
        short of units that others have, they are brought and it is asked again.

        Parameters:
            wanted: returns the units that the request takes.
        """
        decision = await ask()
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_TRIES):
            if not _is_short(decision):
                return decision
            refused = await self._bring_all(shard, await wanted(), deadline)
            if refused is None:
                decision = await ask()
            elif refused.code is not Code.SOLD_OUT:
                return refused
            else:
                match decision.result:
                    case Refusal("sold-out", (sku, _)) if sku == refused.sku:  # what all shards have of it
                        short = Refusal("sold-out", (sku, refused.available))
                        return Decision(DecisionStatus.DECIDED, short, decision.now_ms)
                return decision
        return OVERLOADED

    async def bring(self, sale: SaleId, home: int, sku: str, units: int, deadline: float) -> Refused | None:
        """Bring units to a shard: None when the caller should ask the shard again, else the refusal.

        Parameters:
            sale: a sale that is in `known`.
            home: the shard's number.
            sku: an item or a pool.
        """
        rebalancer = self._rebalancers.get((sale, sku))
        if rebalancer is None:
            for key in [key for key, other in self._rebalancers.items() if other.idle]:
                del self._rebalancers[key]
            rebalancer = self._rebalancers[sale, sku] = Rebalancer(
                self._decisions, self._ledger, sale, self.known[sale], sku,
                complete=lambda: self._complete(sale), max_waiting=self._settings.max_queue,
            )  # fmt: skip
        return await rebalancer.bring(home, units, deadline)

    async def _bring_all(self, shard: SaleId, lines: Sequence[Line], deadline: float) -> Refused | None:
        sale = public_sale(shard)
        try:
            if await self.shards_of(sale) == 1:
                return Refused(code=Code.SOLD_OUT)
            takes = takes_of(lines, await self._recipes.of(sale, lines))
        except LedgerAway:
            return RECOVERING
        for counter, units in takes.items():
            refused = await self.bring(sale, shard_number(shard), counter, units, deadline)
            if refused is not None:
                return refused
        return None

    async def restock(
        self, sale: SaleId, request: tuple[Any, ...], counted: int | None
    ) -> Decision | Refused:
        """Return the decision on a shop's change of stock. It is one step at the sale's first shard: the
        rebalancer moves new units on, and units to remove are first brought there.

        Parameters:
            counted: what the stock of all shards becomes, in place of the request's delta.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_TRIES):
            elsewhere = 0 if counted is None else await self._stock_elsewhere(sale, request[0])
            if elsewhere is None:
                return RECOVERING
            decision = await self._decisions.ask(
                Verb.RESTOCK,
                sale,
                request if counted is None else (*request, counted - elsewhere),
                name=request[3],
                durable=newly_done,
            )
            match decision.result:
                case Refusal("invalid-request", (_, delta)) if delta < 0 and await self.shards_of(sale) > 1:
                    refused = await self.bring(sale, 0, request[0], -delta, deadline)
                case _:
                    return decision
            if refused is not None and refused.code is Code.SOLD_OUT:
                return Decision(
                    DecisionStatus.DECIDED, Refusal("invalid-request", (refused.available, delta))
                )
            if refused is not None:
                return refused
        return OVERLOADED

    async def _stock_elsewhere(self, sale: SaleId, sku: str) -> int | None:
        """Return the stock of a sale's other shards, with the units that left each and without those that
        arrived: transfers don't change it. None where a shard is not in memory, or can't read the item."""
        shards = shard_ids(sale, await self.shards_of(sale))
        found = await asyncio.gather(*(self._decisions.ask(Verb.GET, shard, ("",)) for shard in shards))
        results = [each.result for each in found]
        sales = [each for each in results if isinstance(each, SaleNow)]
        known = [Sku(sku) in now.items for now in sales]
        if len(sales) < len(shards) or (any(known) and not all(known)):
            return None
        stock = 0
        for now in sales[1:]:
            moved = dict(zip(now.moved_away[::2], now.moved_away[1::2], strict=True))
            stock += now.items.get(Sku(sku), (0, 0, 0))[0] + moved.get(sku, 0)
        return stock

    async def _complete(self, sale: SaleId) -> None:
        """Complete the transfers of this sale whose process died."""
        async with asyncio.timeout(self._settings.memory_timeout_seconds):
            await complete_transfers(self._kernel, self._ledger, sale=sale, in_hand_seconds=0)

    async def drain(self) -> None:
        """Return when no request waits for units."""
        for rebalancer in list(self._rebalancers.values()):
            await rebalancer.drain()


def _is_short(decision: Decision) -> bool:
    """Return True for a late confirm or an amend that was refused because of a shortage of units."""
    match decision.result:
        case Refusal("sold-out") | Refusal("reservation-expired", ("sold-out", *_)):
            return True
    return False
