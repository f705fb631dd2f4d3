"""Shadow mode: the shop's own stock decides; FlashGuard decides each attempt too, and reports differences.

Each attempt that the shop sends is a buy here, under the attempt's own key, so that sending it twice changes
nothing. Units that were returned to the shop are returned here by a restock.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.ledger import lines_from_flat
from flashguard.ledger.shadow import ShadowAttempt, ShadowBook
from flashguard.model import Granted, KeyScope, Line, Outcome, Refused, SaleId, ScopedKey, Sku
from flashguard.model.pools import takes_of

CONFIRMED: Final = "confirmed"
MOST_DIFFERENCES: Final = 200
"""Most differing attempts that a report lists."""
TRANSIENT: Final = (Code.OVERLOADED, Code.RECOVERING, Code.REQUEST_IN_FLIGHT)
"""Refusals without a decision: the shop's client sends the attempt again."""

ShopDecision = Literal["sold", "refused", "returned"]
_json = msgspec.json.Encoder().encode


class ShopAttempt(Struct, frozen=True, kw_only=True):
    """An attempt to buy, and the shop's decision. `reference` is the shop's own order number."""

    key: str
    customer: str
    lines: tuple[Line, ...]
    shop: ShopDecision
    reference: str | None = None
    identities: dict[str, str] | None = None


class Comparison(Struct, frozen=True):
    """One attempt compared. `ours`: `confirmed`, or the code of our refusal; None for a return."""

    key: str
    ours: str | None
    agrees: bool


class ShadowItem(Struct, frozen=True, kw_only=True):
    """An item with a stock of its own, or a pool, as shop and FlashGuard sold it. `shop_oversold`: units that
    the shop sold beyond its stock."""

    sku: str
    stock: int
    shop_sold: int
    flashguard_sold: int
    shop_oversold: int


class Difference(Struct, frozen=True, kw_only=True):
    """An attempt that shop and FlashGuard decided differently: one sold, the other refused."""

    key: str
    customer: str
    items: tuple[Line, ...]
    shop: str
    ours: str
    reference: str | None
    at: datetime
    returned_at: datetime | None


class ShadowReport(Struct, frozen=True, kw_only=True):
    """The differences between a shop's own stock and FlashGuard, counted and listed."""

    sale_id: SaleId
    since: datetime
    both_sold: int
    both_refused: int
    only_shop_sold: int
    only_flashguard_sold: int
    returned: int
    reasons: dict[str, int]
    """Attempts that FlashGuard refused and the shop sold, by the code of the refusal."""
    items: tuple[ShadowItem, ...]
    differences: tuple[Difference, ...]
    """The first differences, at most `MOST_DIFFERENCES`."""


class NotAShadow(Exception):
    """The sale is not a shadow, so recording an attempt would sell for real."""


class ShadowMode:
    """The comparison of shadow sales with a shop's own stock, over one guard."""

    def __init__(self, guard: FlashGuard) -> None:
        self._guard = guard
        self._book = ShadowBook(guard.ledger)

    async def begin(self, sale: SaleId) -> datetime | None:
        """Make a draft a shadow; return the time since which it is one, or None if it can't become one."""
        return await self._book.begin(sale)

    async def record(self, sale: SaleId, shop_attempts: Sequence[ShopAttempt]) -> list[Comparison] | Refused:
        """Decide each attempt too, write both decisions to the ledger, and return the comparisons.

        Refuses only when a decision could not be made yet; the caller then sends the same attempts again.

        Raises:
            NotAShadow: the sale is not a shadow.
        """
        if await self._book.since(sale) is None:
            raise NotAShadow
        attempts = [attempt for attempt in shop_attempts if attempt.shop != "returned"]
        outcomes = await asyncio.gather(*(self._buy(sale, attempt) for attempt in attempts))
        for outcome in outcomes:
            if isinstance(outcome, Refused) and outcome.code in TRANSIENT:
                return outcome
        decisions = [_our_decision(outcome) for outcome in outcomes]
        rows, both_refused = [], 0
        for attempt, ours in zip(attempts, decisions, strict=True):
            if attempt.shop == "refused" and ours != CONFIRMED:
                both_refused += 1
                continue
            flat = [value for line in attempt.lines for value in (line.sku, line.quantity)]
            rows.append(
                ShadowAttempt(
                    key=attempt.key, customer=attempt.customer, lines=_json(flat).decode(), shop=attempt.shop,
                    ours=ours, reference=attempt.reference,
                )
            )  # fmt: skip
        if attempts:
            await self._book.note(sale, rows, both_refused)
        returned = [attempt.key for attempt in shop_attempts if attempt.shop == "returned"]
        refused = await self._restock(sale, returned) if returned else None
        if refused:
            return refused
        return [
            Comparison(attempt.key, ours, (attempt.shop == "sold") == (ours == CONFIRMED))
            for attempt, ours in zip(attempts, decisions, strict=True)
        ] + [Comparison(key, None, True) for key in returned]

    async def _buy(self, sale: SaleId, attempt: ShopAttempt) -> Outcome:
        key = ScopedKey(KeyScope.SHADOW, (attempt.key,))
        return await self._guard.buy(
            sale, attempt.customer, attempt.lines, key=key, identities=attempt.identities
        )

    async def _restock(self, sale: SaleId, keys: Sequence[str]) -> Refused | None:
        """Restock the returned units that FlashGuard sold too, then note the returns: a crash in between
        repeats the restock, which has a key and so takes effect once."""
        stored = await self._guard.ledger.sales.get(sale)
        items = () if stored is None else stored.sale.items
        recipes = {item.sku: item.uses for item in items}
        uncapped = {item.sku for item in items if item.stock is None and not item.locations}
        places = {item.sku: item.locations[0].id for item in items if item.locations}
        shop = self._guard.shop
        for row in await self._book.to_return(sale, keys):
            if row["returned"] or row["ours"] != CONFIRMED:
                continue
            lines = lines_from_flat(msgspec.json.decode(row["lines"]))
            for counter, units in takes_of(lines, recipes).items():
                if counter in uncapped:
                    continue
                what = (sale, counter, units, "returned in the shop")
                key = ScopedKey(KeyScope.SHADOW, (row["key"], counter))
                outcome = await (
                    shop.restock(*what, location=places.get(Sku(counter)), key=key)
                    if counter in recipes
                    else shop.restock_pool(*what, key=key)
                )
                if isinstance(outcome, Refused) and outcome.code in TRANSIENT:
                    return outcome
        await self._book.note_returned(sale, keys)
        return None

    async def report(self, sale: SaleId) -> ShadowReport | None:
        """Return the report of the differences so far; None when the sale is not a shadow."""
        counts = await self._book.counts(sale)
        if counts is None:
            return None
        return ShadowReport(
            sale_id=sale,
            **dict(counts.items()),
            reasons={row["code"]: row["attempts"] for row in await self._book.reasons(sale)},
            items=tuple(
                ShadowItem(**dict(row.items()), shop_oversold=max(0, row["shop_sold"] - row["stock"]))
                for row in await self._book.items(sale)
            ),
            differences=tuple(
                _difference(dict(row.items())) for row in await self._book.differences(sale, MOST_DIFFERENCES)
            ),
        )


def _our_decision(outcome: Outcome) -> str:
    return CONFIRMED if isinstance(outcome, Granted) else outcome.code.value


def _difference(row: dict[str, Any]) -> Difference:
    lines = lines_from_flat(msgspec.json.decode(row.pop("lines")))
    return Difference(items=lines, **row)
