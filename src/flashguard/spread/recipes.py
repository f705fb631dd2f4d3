"""What items draw from pools, to bring a pool's units to the shard of a spread sale that is short of them."""

from collections.abc import Mapping, Sequence
from typing import Final

from flashguard.errors import Code
from flashguard.ledger import Ledger
from flashguard.model import Line, Refused, SaleId, Sku, Use

MOST_KNOWN: Final = 4096
"""Most sales whose recipes a process remembers; a forgotten one is read again."""

OfSale = Mapping[Sku, tuple[Use, ...]]
"""What one unit of each item draws."""


class Recipes:
    """The recipes of sales, as the ledger has them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[SaleId, OfSale] = {}

    async def of(self, sale: SaleId, lines: Sequence[Line]) -> OfSale:
        """Return what each of these items draws from pools. It is remembered: a recipe does not change once
        units of its item were held.

        Raises:
            LedgerAway: it is not known here, and PostgreSQL does not answer.
        """
        recipes = self._known.get(sale, {})
        if any(line.sku not in recipes for line in lines):
            stored = await self._ledger.sales.get(sale)
            recipes = {} if stored is None else {item.sku: item.uses for item in stored.sale.items}
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[sale] = recipes
        return recipes


def of_item(refused: Refused, asked: Refused, recipes: OfSale) -> Refused:
    """Return a refusal about a pool as one about the item that draws from it, which `asked` names."""
    if refused.code is not Code.SOLD_OUT or asked.pool is None or asked.sku is None:
        return refused
    quantity = next(use.quantity for use in recipes[Sku(asked.sku)] if use.pool == asked.pool)
    available = (refused.available or 0) // quantity
    return Refused(code=Code.SOLD_OUT, sku=asked.sku, available=available, pool=asked.pool)
