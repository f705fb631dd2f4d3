"""Where a spread sale's buyers go: each to the home part, and units after them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from flashguard.engine.decisions import Decision, Decisions, Fate
from flashguard.errors import Code
from flashguard.kernel.kernel import Kernel, Verb
from flashguard.ledger import Ledger, LedgerAway, readable_row
from flashguard.ledger.sql import query
from flashguard.model import CustomerId, Line, Outcome, Refused, SaleId, public_sale
from flashguard.model.rules import from_kernel
from flashguard.model.shards import home_of, number_of, part_id
from flashguard.recorder.transfers import complete_transfers
from flashguard.settings import Settings

from .rebalancer import OVERLOADED, RECOVERING, Mover

MOST_KNOWN: Final = 4096
"""Spread sales that a process remembers; one more asks memory again."""
MOST_ASKS: Final = 50
"""How often one request asks its part again after units came: others there may be quicker."""


class At(NamedTuple):
    """Where a request goes, and over how many parts its sale is spread, as the process believes."""

    part: SaleId
    spread: int


class Spread:
    """What a process knows of spread sales, and its movers.

    `known` says over how many parts a sale is; one that is not in it is taken for unspread, and memory says
    so when it is not. A sale is never spread anew, so that what is known stays true.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, decisions: Decisions, settings: Settings) -> None:
        self.known: dict[SaleId, int] = {}
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions
        self._settings = settings
        self._movers: dict[tuple[SaleId, str], Mover] = {}

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
            async with self._ledger.connection() as connection:
                with readable_row("sale", sale):
                    spread = int(await connection.fetchval(query("spread_of"), sale) or 1)
                    from_kernel({"spread": spread})
            self.note(sale, spread)
        return spread

    async def proves(self, sale: SaleId) -> bool:
        """Whether a sale that was taken for unspread is spread, as far as can be known now."""
        try:
            return await self.of(sale) > 1
        except LedgerAway:
            return False

    async def take(
        self,
        sale: SaleId,
        customer: CustomerId,
        lines: Sequence[Line],
        ask: Callable[[At], Awaitable[Outcome]],
    ) -> Outcome:
        """Asks the customer's home part, and has units brought there for as long as any part has some."""
        spread = self.known[sale]
        home = home_of(customer, spread)
        at = At(part_id(sale, home), spread)
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_ASKS):
            outcome = await ask(at)
            if not isinstance(outcome, Refused) or outcome.code is not Code.SOLD_OUT or outcome.sku is None:
                return outcome
            units = sum(line.quantity for line in lines if line.sku == outcome.sku)
            refused = await self.bring(sale, home, outcome.sku, units, deadline)
            if refused is not None:
                return refused
        return OVERLOADED

    async def bring(self, sale: SaleId, home: int, sku: str, units: int, deadline: float) -> Refused | None:
        """Has units brought to a part: None when it may have them now; else why not.

        Parameters:
            sale: one that is `known`.
        """
        mover = self._movers.get((sale, sku))
        if mover is None:
            for key in [key for key, other in self._movers.items() if other.idle]:
                del self._movers[key]
            mover = self._movers[sale, sku] = Mover(
                self._decisions, self._ledger, sale, self.known[sale], sku,
                complete=lambda: self._complete(sale), max_waiting=self._settings.max_queue,
            )  # fmt: skip
        return await mover.bring(home, units, deadline)

    async def honour(
        self,
        part: SaleId,
        lines: Sequence[Line],
        decision: Decision,
        ask: Callable[[], Awaitable[Decision]],
    ) -> Decision | Refused:
        """A receipt whose units its part no longer has: asks again for as long as other parts have some."""
        deadline = asyncio.get_running_loop().time() + self._settings.record_timeout_seconds
        for _ in range(MOST_ASKS):
            if "sold-out" not in decision.result[:2]:
                return decision
            refused = await self._bring_all(part, lines, deadline)
            if refused is not None:
                return decision if refused.code is Code.SOLD_OUT else refused
            decision = await ask()
        return OVERLOADED

    async def _bring_all(self, part: SaleId, lines: Sequence[Line], deadline: float) -> Refused | None:
        sale = public_sale(part)
        try:
            if await self.of(sale) == 1:
                return Refused(code=Code.SOLD_OUT)
        except LedgerAway:
            return RECOVERING
        for line in lines:
            refused = await self.bring(sale, number_of(part), line.sku, line.quantity, deadline)
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
            lacks = decision.fate is Fate.DECIDED and decision.result[0] == "invalid-request" and delta < 0
            if not lacks or await self.of(sale) == 1:
                return decision
            refused = await self.bring(sale, 0, sku, -delta, deadline)
            if refused is not None and refused.code is Code.SOLD_OUT:
                return Decision(Fate.DECIDED, ["invalid-request", refused.available])
            if refused is not None:
                return refused
        return OVERLOADED

    async def _complete(self, sale: SaleId) -> None:
        """Has units of this sale arrive whose mover died."""
        async with asyncio.timeout(self._settings.memory_timeout_seconds):
            await complete_transfers(self._kernel, self._ledger, sale=sale, in_hand_seconds=0)

    async def drain(self) -> None:
        """Waits until nobody waits for units."""
        for mover in list(self._movers.values()):
            await mover.drain()
