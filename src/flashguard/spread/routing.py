"""Routes each buyer of a spread sale to the home shard, and brings units there."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from flashguard.engine.baskets import Basket
from flashguard.engine.decision import Decision, DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.fallback import Fallback
from flashguard.engine.late_confirm import lines_of
from flashguard.engine.selling import NotHere, Selling, Shard
from flashguard.errors import Code
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.spread import shards_of
from flashguard.model import Line, Outcome, Refused, SaleId, public_sale, split_reservation_id, unknown
from flashguard.model.shards import home_shard, shard_id, shard_number
from flashguard.recorder.transfers import complete_transfers
from flashguard.settings import Settings

from .rebalancer import OVERLOADED, RECOVERING, Rebalancer

MOST_KNOWN: Final = 4096
"""Spread sales that a process remembers; one more asks memory again."""
MOST_ASKS: Final = 50
"""How often one request asks its part again after units came: others there may be quicker."""


class ShardRouter:
    """Stands in front of selling: a request of a spread sale goes to the customer's home shard, and units
    follow it there.

    `known` has over how many shards a sale is spread. A sale that is not in it is taken for unspread, and
    memory says so where it is not. The number never changes, so that what is known stays true.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        decisions: Decisions,
        selling: Selling,
        fallback: Fallback,
        settings: Settings,
    ) -> None:
        self.known: dict[SaleId, int] = {}
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions
        self._selling = selling
        self._fallback = fallback
        self._settings = settings
        self._rebalancers: dict[tuple[SaleId, str], Rebalancer] = {}

    def note(self, sale: SaleId, spread: int) -> None:
        """Keeps what memory or the ledger said."""
        self.known.pop(sale, None)
        if spread > 1:
            if len(self.known) >= MOST_KNOWN:
                del self.known[next(iter(self.known))]
            self.known[sale] = spread

    async def of(self, sale: SaleId) -> int:
        """Over how many parts a sale is; 1 also where there is none.

        Raises:
            LedgerAway: it is not known here, and PostgreSQL does not answer, or has no readable number.
        """
        spread = self.known.get(sale)
        if spread is None:
            spread = await shards_of(self._ledger, sale)
            self.note(sale, spread)
        return spread

    async def proves(self, sale: SaleId) -> bool:
        """Whether a sale that was taken for unspread is spread, as far as can be known now."""
        try:
            return await self.of(sale) > 1
        except LedgerAway:
            return False

    async def sell(self, basket: Basket) -> Outcome:
        """Return the outcome of a hold or of a direct order, whether its sale is spread or not."""
        if basket.sale not in self.known:
            outcome = await self._selling.sell(basket)
            if not isinstance(outcome, NotHere):
                return outcome
            if outcome.shards:
                self.note(basket.sale, outcome.shards)
            elif not await self.proves(basket.sale):
                return await self._fallback.sale_not_in_memory(basket.sale, outcome.short, outcome.body)
        return await self._sell_spread(basket)

    async def _sell_spread(self, basket: Basket) -> Outcome:
        """Ask the home shard, and bring units to it for as long as any shard has some."""
        sale, shards = basket.sale, self.known[basket.sale]
        home = home_shard(basket.customer, shards)
        shard = Shard(shard_id(sale, home), shards)
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_ASKS):
            outcome = await self._selling.sell(basket, shard)
            if isinstance(outcome, NotHere):
                self.note(sale, outcome.shards)
                return RECOVERING
            if not isinstance(outcome, Refused) or outcome.code is not Code.SOLD_OUT or outcome.sku is None:
                return outcome
            units = sum(line.quantity for line in basket.lines if line.sku == outcome.sku)
            refused = await self.bring(sale, home, outcome.sku, units, deadline)
            if refused is not None:
                return refused
        return OVERLOADED

    async def confirm(self, id_: str, receipt_text: str | None) -> Outcome:
        """Return the outcome of a confirm. A late confirm with a receipt whose shard has no units left asks
        again for as long as other shards have some."""
        receipt = None if receipt_text is None else self._selling.read_receipt(receipt_text, id_)
        if isinstance(receipt, Refused):
            return receipt
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        sale, short = name
        decision = await self._selling.ask_confirm(sale, short, receipt)
        if receipt is not None and _is_short(decision):
            deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
            for _ in range(MOST_ASKS):
                refused = await self._bring_all(sale, lines_of(receipt), deadline)
                if refused is not None and refused.code is not Code.SOLD_OUT:
                    return refused
                if refused is not None:
                    break
                decision = await self._selling.ask_confirm(sale, short, receipt)
                if not _is_short(decision):
                    break
            else:
                return OVERLOADED
        return await self._selling.confirm_outcome(sale, short, decision, receipt)

    async def bring(self, sale: SaleId, home: int, sku: str, units: int, deadline: float) -> Refused | None:
        """Has units brought to a part: None when it may have them now; else why not.

        Parameters:
            sale: one that is `known`.
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
            if await self.of(sale) == 1:
                return Refused(code=Code.SOLD_OUT)
        except LedgerAway:
            return RECOVERING
        for line in lines:
            refused = await self.bring(sale, shard_number(shard), line.sku, line.quantity, deadline)
            if refused is not None:
                return refused
        return None

    async def restock(self, sale: SaleId, request: tuple[Any, ...]) -> Decision | Refused:
        """A shop's change of stock, in one step at the sale's first part: units for other parts' buyers
        follow them. Units to take away are brought there first."""
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        sku, delta = request[0], request[1]
        for _ in range(MOST_ASKS):
            decision = await self._decisions.ask(
                Verb.RESTOCK,
                sale,
                request,
                name=request[3],
                durable=lambda result: result[:2] == ["restocked", False],
            )
            lacks = (
                decision.status is DecisionStatus.DECIDED
                and decision.result[0] == "invalid-request"
                and delta < 0
            )
            if not lacks or await self.of(sale) == 1:
                return decision
            refused = await self.bring(sale, 0, sku, -delta, deadline)
            if refused is not None and refused.code is Code.SOLD_OUT:
                return Decision(DecisionStatus.DECIDED, ["invalid-request", refused.available])
            if refused is not None:
                return refused
        return OVERLOADED

    async def _complete(self, sale: SaleId) -> None:
        """Has units of this sale arrive whose mover died."""
        async with asyncio.timeout(self._settings.memory_timeout_seconds):
            await complete_transfers(self._kernel, self._ledger, sale=sale, in_hand_seconds=0)

    async def drain(self) -> None:
        """Waits until nobody waits for units."""
        for rebalancer in list(self._rebalancers.values()):
            await rebalancer.drain()


def _is_short(decision: Decision) -> bool:
    """Return whether a late confirm failed for want of units."""
    return "sold-out" in decision.result[:2]
